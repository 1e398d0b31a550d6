"""Between words and values: what a command line says, and the command line that says it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from likewise.modalities.run import Run

FromPython = Annotated[Any, Parameter(parse=False)]  # an argument that no command line can hold

WHOLE = ("epochs", "batch_size", "size", "channels", "seed")


def value_of(text: Any) -> Any:
    """A number for text that is one: command lines have only text."""
    if isinstance(text, str):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def training_options(words: dict[str, Any]) -> dict[str, Any]:
    """`pretrain`'s options as a command that passes them on got them: whole numbers where it has them, else as said."""
    named = {name.replace("-", "_"): value for name, value in words.items()}
    return {name: value_of(value) if name in WHOLE else value for name, value in named.items()}


def command_line(verb: str, what: Any, options: dict[str, Any]) -> str:
    """The command that asks for the same; what no command line can hold is left out."""
    words = ["likewise", verb, str(what) if isinstance(what, (str, Path)) else "DATA"]
    for name, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if value is None or value is False or not all(isinstance(v, (str, Path, int, float)) for v in values):
            continue
        words.append("--" + name.replace("_", "-"))
        words += [] if value is True else [str(v) for v in values]
    return shlex.join(words)


def slug(name: str) -> str:
    """A name as part of a file name: "stl10:train" becomes "stl10-train"."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "data"


def skipped_note(skipped: Iterable[object]) -> str:
    """How many files could not be read, for the end of a line; nothing when all could."""
    count = len(list(skipped))
    return f", {count:,} file{'s' if count > 1 else ''} could not be read (see skipped.csv)" if count else ""


def opened(run: Any) -> Run:
    return run if isinstance(run, Run) else Run.open(run)
