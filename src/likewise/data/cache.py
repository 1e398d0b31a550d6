"""Things made once and kept: a folder of the user's cache for each, complete or not there at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from likewise.errors import UserError

INDEX = "index.json"
STALE_SECONDS = 24 * 3600


def cache_folder() -> Path:
    """`$LIKEWISE_CACHE`, or else the user's cache folder of this platform."""
    return Path(os.environ.get("LIKEWISE_CACHE") or platformdirs.user_cache_dir("likewise", appauthor=False))


def digest(parts: Iterable[object]) -> str:
    """A name for what the parts say together: 32 hexadecimal digits."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(repr(part).encode("utf-8", "surrogatepass") + b"\n")
    return hashed.hexdigest()[:32]


def cached(kind: str, key: str, build: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """The folder `kind/key` of the cache and the metadata that `build` returned, building it if it is not there.

    `build(folder)` writes files into an empty folder and returns a JSON-able dict about them. The folder
    gets its name when everything in it is on the disk: an interrupted build leaves nothing that counts, and
    of two processes that build the same thing the first one's is kept. Raises `UserError` where the cache
    cannot be written (full, read-only, forbidden).
    """
    shelf = cache_folder() / kind
    final = shelf / key
    kept = _read(final)
    if kept is not None:
        return final, kept
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        _sweep(shelf)
        building = shelf / f"{key}.{secrets.token_hex(4)}.tmp"
        building.mkdir()
        try:
            metadata = build(building)
            sizes = {path.name: path.stat().st_size for path in building.iterdir()}
            (building / INDEX).write_text(json.dumps({"files": sizes, "said": metadata}), encoding="utf-8")
            for path in building.iterdir():
                _sync(path)
            _publish(building, final)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if not full and not str(error.filename or "").startswith(str(cache_folder())):
            raise
        raise UserError(
            f"cannot write the cache in {cache_folder()}: {error.strerror}; "
            "make room there, or name another folder in the environment variable LIKEWISE_CACHE"
        ) from error
    return final, metadata


def _read(folder: Path) -> dict[str, Any] | None:
    """The metadata of a complete folder, or None."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if all((folder / name).stat().st_size == size for name, size in index["files"].items()):
            return index["said"]
    except (OSError, ValueError, KeyError):
        pass
    return None


def _publish(building: Path, final: Path) -> None:
    if _read(final) is not None:
        return
    shutil.rmtree(final, ignore_errors=True)
    try:
        building.rename(final)
    except OSError:
        # Another process was first: its folder holds the same.
        if _read(final) is None:
            raise
    with suppress(OSError):
        _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(shelf: Path) -> None:
    """Remove what builds that were killed have left, once nobody can be writing there any more."""
    oldest = time.time() - STALE_SECONDS
    for left in shelf.glob("*.tmp"):
        with suppress(OSError):
            if max(path.stat().st_mtime for path in (left, *left.iterdir())) < oldest:
                shutil.rmtree(left, ignore_errors=True)
