"""What the files of a run have in common: JSON objects, and what reading a damaged file raises."""

from __future__ import annotations

import csv
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from likewise.errors import NotInstalled, UserError

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,  # an encrypted archive, JSON nested too deeply
    MemoryError,  # a header that claims more than there can be
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    csv.Error,
)

COPY_ANEW = "copy the run folder anew"
"""What to do about a run folder in which something is wrong."""
LARGEST = 2**28
"""Bytes of a text file of a run: that of an evaluation of thousands of classes has a tenth."""
DEEPEST = 64
"""Levels of nested JSON: ours has ten."""
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])', re.DOTALL)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: the file holds something else, or is not a file of at most `LARGEST` bytes.
    """
    return object_in(read_text(path), path.name)


def object_in(text: str, name: str) -> dict[str, Any]:
    """The JSON object that a text is.

    Args:
        text: perhaps from elsewhere.
        name: of what it was read from, for the error.

    Raises:
        ValueError: it is something else, or nested more than `DEEPEST` levels.
    """
    if max(_levels(text), default=0) > DEEPEST:
        raise UserError(f"{name} must be nested at most {DEEPEST} levels deep")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def read_text(path: Path) -> str:
    """The text of a file of a run.

    Raises:
        UserError: the file is none, too large, or no text.
    """
    check_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} must be UTF-8, byte {error.start:,} is not") from error


def check_file(path: Path, largest: int = LARGEST) -> None:
    """Raise `UserError` for a pipe or a device, whose reading may never end, and for a file that is too large."""
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise UserError(f"{path.name} must be a file, it is a folder, a pipe or a device")
    if about.st_size > largest:
        raise UserError(f"{path.name} must have at most {largest:,} bytes, it has {about.st_size:,}")


def _levels(text: str) -> Iterator[int]:
    """How deep each bracket of JSON is: a parser must not be asked, it may overflow its stack."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += (found[1] is not None) - (found[2] is not None)
        yield depth


@contextmanager
def naming(path: Path, remedy: str) -> Iterator[None]:
    """What is wrong with a value inside is told with the name of its file in front, and what to do behind."""
    try:
        yield
    except NotInstalled:
        raise  # not the file's fault
    except UserError as error:
        raise UserError(f"{path}: {error}; {remedy}") from error


def reason_of(error: Exception) -> str:
    """Why a file can't be read, in one line: what a check of ours says, or another error's kind and message."""
    message = " ".join(str(error).split())[:300]
    return message if isinstance(error, UserError) else f"{type(error).__name__}: {message}"


def inside(folder: Path, name: object) -> Path:
    """The file of a name that a run's configuration gives; such a name may come from elsewhere.

    Raises:
        UserError: when it is not a file in the folder: an absolute path, one with `..`, or a link that leads outside.
    """
    whole = folder.resolve()
    if isinstance(name, str) and "\0" not in name:
        path = folder / name
        lexical = not Path(name).is_absolute() and ".." not in Path(name).parts
        if lexical and path.resolve().is_relative_to(whole) and path.is_file():
            return path
    raise UserError(f"config.json must name a file inside {folder}, got {name!r}")


def check_keys(found: dict[str, Any], needed: set[str]) -> None:
    """Raise `ValueError` that names the keys that are missing."""
    if missing := needed - found.keys():
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
