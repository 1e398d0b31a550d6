"""What a data argument names: a known set, a path or an object in memory, and which split of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from likewise.data.addresses import address_of, part_of_shards
from likewise.data.builtin import SETS
from likewise.data.split_folders import split_folder


def is_name(data: Any) -> bool:
    """Whether `open_source` takes `data` as the name of a known set, with or without a split."""
    return isinstance(data, str) and data.lower().partition(":")[0] in SETS


def resolve(data: Any) -> tuple[Any, str | None]:
    """The data without its split, and the split, which follows the last colon: (`"digits"`, `"test"`).

    The name of a known set stays text, in lower case; an address, or a pattern of shards, becomes an `Address`, other
    text a `Path`. Shards of a folder whose names begin with the split become an `Address`, too, without it. A path that
    exists is taken whole, also with a colon in it. Objects in memory stay as they are and have no split.
    """
    if not isinstance(data, str | os.PathLike):
        return data, None
    text = os.fspath(data)
    if is_name(data):
        name, _, split = text.lower().partition(":")
        return name, split or None
    if (shards := address_of(text)) is not None:
        return shards
    path, part = path_and_split(text)
    if part is not None and path.is_dir() and split_folder(path, part) is None:
        of_part = part_of_shards(path, part)
        return (path, part) if of_part is None else (of_part, None)
    return path, part


def path_and_split(text: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """A path without its split, and the split."""
    path = Path(text).expanduser()
    base, _, split = str(path).rpartition(":")
    return (Path(base), split) if base and split and not path.exists() and Path(base).exists() else (path, None)
