"""What the files of a run have in common: JSON objects, and what reading a damaged file raises."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from likewise.errors import UserError

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
)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: the file holds something else.
    """
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


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
    raise UserError(f"config.json must name a file inside {folder}, got {name!r}: copy the run folder whole")


def check_keys(found: dict[str, Any], needed: set[str]) -> None:
    """Raise `ValueError` that names the keys that are missing."""
    if missing := needed - found.keys():
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
