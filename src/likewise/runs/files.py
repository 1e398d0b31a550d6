"""What the files of a run have in common: JSON objects, and what reading a damaged file raises."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

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


def check_keys(found: dict[str, Any], needed: set[str]) -> None:
    """Raise `ValueError` that names the keys that are missing."""
    if missing := needed - found.keys():
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
