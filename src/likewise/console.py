"""What people read while something runs: lines and bars on stderr."""

from __future__ import annotations

import sys


def tell(text: str, *, show: bool = True) -> None:
    """A line for people, on stderr: stdout is for answers."""
    if show:
        print(text, file=sys.stderr, flush=True)
