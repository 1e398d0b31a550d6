"""All benchmarks, one after the other, at their quickest settings: `python -m benchmarks`, or `make bench`."""

from __future__ import annotations

import subprocess
import sys

QUICK = {"startup": [], "views": [], "losses": ["--quick"], "mae": ["--rounds", "3"], "methods": ["--quick"]}

for name, options in QUICK.items():
    print(f"\n## python -m benchmarks.{name} {' '.join(options)}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=True)
