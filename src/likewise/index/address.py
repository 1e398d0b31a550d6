"""How an index is named where a file could be: `lance://FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from likewise.errors import UserError

SCHEME = "lance://"


def index_folder(address: Any) -> Path | None:
    """The folder of an index that is named; None for what is no address of one.

    What follows `lance://` is a path, relative or absolute: `lance://photos-index`, `lance:///data/photos-index`.

    Raises:
        UserError: for an address without a folder, or one that is not written so.
    """
    if not isinstance(address, (str, Path)) or not str(address).startswith("lance:"):
        return None
    if not str(address).startswith(SCHEME) or str(address) == SCHEME:
        raise UserError(f"an index is named {SCHEME}FOLDER, as text, got {address}")
    return Path(str(address).removeprefix(SCHEME)).expanduser()
