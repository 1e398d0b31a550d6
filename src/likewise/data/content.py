"""A file in memory: what the decoders of pictures and recordings take in place of a path."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple


class Content(NamedTuple):
    """The bytes of a file, with what its readers ask a path for."""

    name: str
    """Of the file; its ending may say what it is."""
    content: bytes

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def open(self, mode: str = "rb") -> io.BytesIO:
        return io.BytesIO(self.content)


AnyFile = Path | Content
"""A file on the disk, or one in memory."""


def readable(file: AnyFile) -> Any:
    """What libraries read a file from: its path, or a stream of what is in memory."""
    return file if isinstance(file, Path) else file.open()


def size_of(file: AnyFile) -> int:
    return file.stat().st_size if isinstance(file, Path) else len(file.content)
