"""What `open_source` was asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from likewise.data.read_options import ReadOptions


class Request(NamedTuple):
    """A data argument and how to read it; every modality gets the same."""

    data: Any
    """What was given, without its split: the name of a known set as text, a `Path`, or an object in memory."""
    split: str | None = None
    """What followed the colon of `data:split`."""
    root: Any = None
    """The folder with the files of named sets; None: `$LIKEWISE_DATA`, or else `data/`."""
    read_options: ReadOptions = ReadOptions()
    progress: bool = True
    """Whether to report on stderr."""
