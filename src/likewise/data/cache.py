"""Things made once and kept: a folder of the user's cache for each, complete or not there at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from likewise.errors import UserError

INDEX = "index.json"
SCHEMA = 2  # raise it when folders of the cache are laid out in another way
STALE_SECONDS = 24 * 3600
BUILDING = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{8}\.tmp")
BLOCK = 2**20  # bytes that are read at once for a checksum
NOTHING = "none"
UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?) ?([kmgt])b", re.IGNORECASE)
NUMBER = re.compile(r"-?[\d.,]*\d[\d.,]* ?[A-Za-z]*")


class CacheUse(NamedTuple):
    """Where decoded samples are kept, and how many: what `--cache` says."""

    folder: Path | None = None
    """None: the usual one."""
    most: int | None = None
    """Bytes that the decoded samples of a data set may take; those of a larger one are decoded each time. None: any."""

    @classmethod
    def of(cls, words: str | Path) -> CacheUse:
        """From `none`, a folder, or a size such as 20GB.

        Raises:
            UserError: for anything else.
        """
        text = str(words)
        if text.lower() == NOTHING:
            return cls(most=0)
        size = SIZE.fullmatch(text)
        if size and (most := int(float(size[1]) * UNITS[size[2].lower()])):
            return cls(most=most)
        folder = None if size or not text.strip() else _possible_folder(text)
        if folder is None:
            raise UserError(f"cache must be none, a folder, or a size such as 20GB, got {text!r}")
        return cls(folder)

    def keeps(self, taken: int) -> bool:
        """Whether decoded samples that take so many bytes are kept."""
        return self.most is None or taken <= self.most

    @property
    def keeps_shards(self) -> bool:
        """Whether samples of shards are kept too, as somebody has said where, or how many."""
        return self.folder is not None or bool(self.most)


def _possible_folder(text: str) -> Path | None:
    """The folder of a name, there or to be made; None for a file, a number without a unit, or no name."""
    try:
        folder = Path(text).expanduser().absolute()
        if folder.is_dir():
            return folder
        return None if folder.exists() or NUMBER.fullmatch(text) else folder
    except (OSError, RuntimeError, ValueError):  # too long; of a user who is not there
        return None


_use = CacheUse()


def cache_use() -> CacheUse:
    """What is to be kept now."""
    return _use


@contextmanager
def using_cache(words: str | Path | None) -> Iterator[None]:
    """Keep what `--cache` says meanwhile; None changes nothing.

    Raises:
        UserError: for words that are none of what `CacheUse.of` takes.
    """
    global _use
    before = _use
    if words is not None:
        _use = CacheUse.of(words)
    try:
        yield
    finally:
        _use = before


def cache_folder() -> Path:
    """The folder that `--cache` names, `$LIKEWISE_CACHE`, or else the user's cache folder of this platform.

    Raises:
        UserError: where the user has no home.
    """
    if _use.folder is not None:
        return _use.folder
    folder = Path(os.environ.get("LIKEWISE_CACHE") or platformdirs.user_cache_dir("likewise", appauthor=False))
    if folder.parts[:1] == ("~",):
        raise UserError(
            "there is no home folder for the cache: name a folder in the environment variable LIKEWISE_CACHE"
        )
    return folder


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
        # What is decoded here may be private: nobody else may read it, whatever the folder it came from allows.
        shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(shelf)
        building = shelf / f"{key}.{secrets.token_hex(4)}.tmp"
        building.mkdir(mode=0o700)
        try:
            metadata = build(building)
            for path in building.iterdir():
                path.chmod(0o600)
                _sync(path)
            files = {path.name: _about(path) for path in building.iterdir()}
            index = building / INDEX
            index.write_text(json.dumps({"schema": SCHEMA, "files": files, "metadata": metadata}), encoding="utf-8")
            index.chmod(0o600)
            _sync(index)
            _publish(building, final)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if not full and not (error.filename and _related(Path(error.filename))):
            raise
        raise UserError(
            f"cannot write the cache in {cache_folder()}: {error.strerror}; "
            "make room there, or name another folder in the environment variable LIKEWISE_CACHE"
        ) from error
    return final, metadata


def _related(path: Path) -> bool:
    """Whether a path lies in the cache folder, or this folder in it: a home that is missing, or is no folder."""
    folder = cache_folder()
    return path.is_relative_to(folder) or folder.is_relative_to(path)


def _about(path: Path) -> dict[str, Any]:
    """By what a file is known again: its size and time, which are quick to compare, and its checksum."""
    about = path.stat()
    return {"size": about.st_size, "modified": about.st_mtime_ns, "checksum": checksum(path)}


def checksum(path: Path) -> str:
    """BLAKE2b of a file's content, 32 hexadecimal digits."""
    hashed = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


def _read(folder: Path) -> dict[str, Any] | None:
    """The metadata of a complete folder, or None. A file that was touched since it was made is read as a whole."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["schema"] != SCHEMA:
            return None
        for name, known in index["files"].items():
            about = (folder / name).stat()
            if about.st_size != known["size"]:
                return None
            if about.st_mtime_ns != known["modified"] and checksum(folder / name) != known["checksum"]:
                return None
        return index["metadata"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
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
    """Remove what builds that were killed have left, once nobody can be writing there any more; nothing of others."""
    oldest = time.time() - STALE_SECONDS
    for left in shelf.glob("*.tmp"):
        if not BUILDING.fullmatch(left.name) or left.is_symlink() or not left.is_dir():
            continue
        with suppress(OSError):
            if max(path.stat().st_mtime for path in (left, *left.iterdir())) < oldest:
                shutil.rmtree(left, ignore_errors=True)
