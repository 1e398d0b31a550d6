"""What a user waits for before anything is done: imports and help, as whole processes.

    python -m benchmarks.startup [--rounds 9]

The targets: `import likewise` below 0.2 s, `likewise --help` below 0.5 s. `python -c pass` is what Python itself takes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median
from time import perf_counter

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import likewise": [sys.executable, "-c", "import likewise"],
    "likewise --help": [sys.executable, "-m", "likewise.cli", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    began = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    taken = {name: [seconds(command) for _ in range(rounds + 1)][1:] for name, command in COMMANDS.items()}
    print(f"{'whole process':20}{'median':>10}{'worst':>10}")
    for name, times in taken.items():
        print(f"{name:20}{median(times):8.3f} s{max(times):8.3f} s")


if __name__ == "__main__":
    main()
