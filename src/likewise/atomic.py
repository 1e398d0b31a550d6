"""Files that are either the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def disk_trouble(error: BaseException | None) -> str | None:
    """What a user can mend about a failed write: "the disk is full", "permission denied" …; None for other errors.

    torch wraps a file's error in one of its own; what the file system said is its context.
    """
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    if error is None or error.errno is None:
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full"
    return os.strerror(error.errno).lower() if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else None


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Call `write` with an open binary file beside `path`, flush it to the disk, then rename it to `path`.

    Raises:
        OSError: from writing, with what was begun removed and `path` as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically, in UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically, indented for people."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
