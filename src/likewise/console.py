"""What people read while something runs: lines on stderr. Nothing that happens to stderr may end what runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, cast
from unicodedata import category

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


class Stderr(io.TextIOBase):
    """What is the process's stderr now, whose failures are no failures of the program.

    The reader of a pipe may be gone (`2>&1 | head`), the disk behind a log file full, and a terminal may lack letters.
    """

    def __init__(self) -> None:
        # Not looked up at every line: a bar of rich puts itself in the place of sys.stderr, and writes to this.
        self.stream = sys.stderr

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        # ValueError: it was closed; AttributeError: there is none.
        with suppress(OSError, ValueError, AttributeError):
            self.stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError, AttributeError):
            self.stream.flush()

    def isatty(self) -> bool:
        with suppress(ValueError, AttributeError):
            return self.stream.isatty()
        return False

    def fileno(self) -> int:
        return self.stream.fileno()


DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Letters that reverse what follows: a line can show another name than it has."""


def count_of(number: int | float, one: str, many: str = "") -> str:
    """A number and what is counted: "1 sample", "1,297 samples", "0.5 minutes".

    Args:
        number: how many.
        one: the word for one of them.
        many: the word for several; `one` with an s if not given.
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {one if number == 1 else many or f'{one}s'}"


def printable(text: str) -> str:
    r"""`text` with control characters as escapes (ESC as "\x1b"), except newlines and tabs.

    Names of files and classes may hold what moves the cursor, retitles the terminal or hides a line, and bytes that are
    no text, which no stream takes.
    """
    return "".join(
        letter.encode("unicode_escape").decode()
        if letter in DIRECTIONS or (category(letter) in ("Cc", "Cs") and letter not in "\n\t")
        else letter
        for letter in text
    )


def one_line(text: str) -> str:
    r"""`text` with all that is not printable as escapes, newlines and tabs too ("\n")."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain(text: object, style: str = "") -> Text:
    """A text from elsewhere for rich: printable, and neither markup (`[bold]`, `[link=…]`) nor emoji (`:smile:`)."""
    from rich.text import Text

    return Text(printable(str(text)), style)


def tell(text: str, *, show: bool = True) -> None:
    """A line for people, on stderr: stdout is for results."""
    if show:
        stream = Stderr()
        stream.write(printable(text) + "\n")
        stream.flush()


_said: ContextVar[set[str] | None] = ContextVar("said", default=None)


@contextmanager
def each_note_once() -> Iterator[None]:
    """Inside, a note that was told is not told again: of commands that run in others and read the same data."""
    before = _said.set(set())
    try:
        yield
    finally:
        _said.reset(before)


def tell_notes(notes: Iterable[str], *, show: bool = True) -> None:
    """What is to be known of data, a line each; see `each_note_once`."""
    said = _said.get()
    for note in dict.fromkeys(notes):
        if said is None or note not in said:
            tell(note, show=show)
        if said is not None:
            said.add(note)


def stderr_console() -> Console:
    """A rich console on stderr, for bars and lines."""
    from rich.console import Console

    return Console(file=cast(IO[str], Stderr()))


def as_text(renderable: object) -> str:
    """What a rich console prints of a result, 100 columns wide, as plain text."""
    from rich.console import Console

    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())
