"""What a data argument names: a known set, a path or an object in memory, and which split of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from likewise.data.addresses import address_of
from likewise.data.builtin import SETS


def is_name(data: Any) -> bool:
    """Whether `open_source` takes `data` as the name of a known set, with or without a split."""
    return isinstance(data, str) and data.lower().partition(":")[0] in SETS


def resolve(data: Any) -> tuple[Any, str | None]:
    """The data without its split, and the split, which follows the last colon: (`"digits"`, `"test"`).

    The name of a known set stays text, in lower case; an address, or a pattern of shards, becomes an `Address`, other
    text a `Path`. A path that exists is taken whole, also with a colon in it. Objects in memory stay as they are and
    have no split.
    """
    if not isinstance(data, str | os.PathLike):
        return data, None
    text = os.fspath(data)
    if is_name(data):
        name, _, split = text.lower().partition(":")
        return name, split or None
    if (shards := address_of(text)) is not None:
        return shards
    path = Path(text).expanduser()
    base, _, split = str(path).rpartition(":")
    if base and split and not path.exists() and Path(base).exists():
        return Path(base), split
    return path, None
