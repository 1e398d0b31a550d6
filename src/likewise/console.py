"""What people read while something runs: lines on stderr. Nothing that happens to stderr may end what runs."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.console import Console


class Stderr(io.TextIOBase):
    """The process's stderr, whose failures are no failures of the program.

    The reader of a pipe may be gone (`2>&1 | head`), the disk behind a log file full, and a terminal may lack letters.
    """

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(sys.stderr, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        # ValueError: it was closed; AttributeError: there is none.
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(text.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        with suppress(ValueError, AttributeError):
            return sys.stderr.isatty()
        return False

    def fileno(self) -> int:
        return sys.stderr.fileno()


def tell(text: str, *, show: bool = True) -> None:
    """A line for people, on stderr: stdout is for results."""
    if show:
        stream = Stderr()
        stream.write(text + "\n")
        stream.flush()


def stderr_console() -> Console:
    """A rich console on stderr, for bars and lines."""
    from rich.console import Console

    return Console(file=cast(IO[str], Stderr()))
