"""Files of shards, on this machine or elsewhere: found, described, and read in parts through fsspec."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from likewise.console import one_line
from likewise.data.addresses import ENDINGS, SCHEME, Address, ending_of, expanded, is_pattern, path_of, shard_files
from likewise.data.source import natural_sort
from likewise.errors import UserError

VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "Content-MD5",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "mtime",
    "created",
)
"""What stores say of a file, by which a changed one is known."""
READ_AHEAD = 4 << 20
BLOCK, KEPT = 4 << 20, 256 << 20
"""Bytes of remote shards that are asked for together, and that stay for the next batch."""
TRIES, PAUSE = 4, 0.5  # of a part that a network fails to give, and seconds before the second try
REFUSED = (401, 403)
MOST_BESIDE = 1 << 20


class Shard(NamedTuple):
    """A file with many samples, as its store describes it."""

    address: str
    """A path or an address."""
    size: int
    version: str
    """With the size, what a file is known again by."""

    @property
    def name(self) -> str:
        return path_of(self.address).rpartition("/")[2]

    @property
    def is_remote(self) -> bool:
        return SCHEME.match(self.address) is not None


def shards_in(data: Path | Address) -> list[Shard]:
    """The shards that a path, an address or a pattern names, in natural order.

    Raises:
        UserError: for a shard that is not there, and for a store that cannot be read.
    """
    if isinstance(data, Path):
        names = [str(data)] if data.is_file() else natural_sort(map(str, shard_files(data)))
        return [_local(name) for name in names]
    if data.files:
        return [_local(name) for name in natural_sort(data.files)]
    names = [found for name in expanded(data.text) for found in _matching(name)]
    if not names:
        raise UserError(f"there is no shard {data}: name files that end in {' or '.join(ENDINGS)}")
    return [_remote(name) if SCHEME.match(name) else _local(name) for name in names]


def _matching(name: str) -> list[str]:
    """What a name without braces stands for: itself, what it matches, or the shards of a folder."""
    if not SCHEME.match(name):
        return natural_sort(glob(name)) if is_pattern(name) else [name]  # noqa: PTH207
    with telling_of_the_store(name):
        files, path = fsspec.url_to_fs(name)
        if is_pattern(name):
            return natural_sort(map(files.unstrip_protocol, files.glob(path)))
        if ending_of(name):
            return [name]
        for ending in ENDINGS:
            if found := files.glob(f"{path.rstrip('/')}/*{ending}"):
                return natural_sort(map(files.unstrip_protocol, found))
    return []


def _local(name: str) -> Shard:
    with telling_of_the_store(name):
        about = Path(name).stat()
        return Shard(os.path.abspath(name), about.st_size, _version(about))  # noqa: PTH100


def _version(about: os.stat_result) -> str:
    return f"{about.st_mtime_ns} {about.st_ino}"


def check_unchanged(shard: Shard, about: os.stat_result) -> None:
    """Raise `UserError` for a shard on this machine that is no longer the file that was indexed."""
    if (about.st_size, _version(about)) != (shard.size, shard.version):
        raise UserError(f"{shard.address} has changed since it was opened: start again")


def _remote(name: str) -> Shard:
    with telling_of_the_store(name):
        files, path = fsspec.url_to_fs(name)
        about = files.info(path)
        if not isinstance(about.get("size"), int):
            raise UserError(f"{name} must say how large it is: its server gives no length")
        return Shard(name, about["size"], " ".join(str(about[key]) for key in VERSIONS if key in about))


@contextmanager
def opened(shard: Shard) -> Iterator[Any]:
    """A shard to be read from its beginning on, with seeking."""
    with telling_of_the_store(shard.address):
        if shard.is_remote:
            files, path = fsspec.url_to_fs(shard.address)
            file = files.open(path, "rb", block_size=READ_AHEAD, cache_type="readahead")
        else:
            file = Path(shard.address).open("rb")  # noqa: SIM115
    with file:
        yield file


def read_parts(shard: Shard, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes at these places: (start, length) of each.

    Raises:
        UserError: for a shard that has changed, or that its store does not give.
    """
    with telling_of_the_store(shard.address):
        found = _remote_parts(shard, parts) if shard.is_remote else _local_parts(shard, parts)
    _check_lengths(shard, parts, found)
    return found


def _check_lengths(shard: Shard, parts: Sequence[tuple[int, int]], found: Sequence[bytes]) -> None:
    for content, (start, length) in zip(found, parts, strict=True):
        if len(content) != length:
            why = "its server gives no parts of files" if len(content) == shard.size else "it has changed, or was cut"
            raise UserError(f"{shard.address}: byte {start:,} and the {length:,} after it cannot be read: {why}")


def _local_parts(shard: Shard, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    with Path(shard.address).open("rb") as file:
        check_unchanged(shard, os.fstat(file.fileno()))
        found = []
        for start, length in parts:
            file.seek(start)
            found.append(file.read(length))
        return found


class _KeptBlocks(threading.local):
    """What a thread has read of remote shards: threads and processes share no connections."""

    def __init__(self) -> None:
        self.blocks: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()


_kept = _KeptBlocks()


def _remote_parts(shard: Shard, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """Through whole blocks, which the next batch may need; small parts from everywhere are asked for alone."""
    of = [range(start // BLOCK, (start + max(length, 1) - 1) // BLOCK + 1) for start, length in parts]
    wanted = {block for blocks in of for block in blocks}
    if len(wanted) * BLOCK > KEPT:
        return _fetched(shard, parts)
    kept = _kept.blocks
    missing = sorted(block for block in wanted if (*shard, block) not in kept)
    places = [(block * BLOCK, min(BLOCK, shard.size - block * BLOCK)) for block in missing]
    kept.update(zip(((*shard, block) for block in missing), _fetched(shard, places), strict=True))
    joined = [
        b"".join(kept[*shard, block] for block in blocks)[start % BLOCK :][:length]
        for (start, length), blocks in zip(parts, of, strict=True)
    ]
    for block in wanted:
        kept.move_to_end((*shard, block))
    while len(kept) * BLOCK > KEPT:
        kept.popitem(last=False)
    return joined


def _fetched(shard: Shard, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """Asked for at once, and again where a network fails."""
    files, path = fsspec.url_to_fs(shard.address)
    starts, ends = [start for start, _ in parts], [start + length for start, length in parts]
    pause = PAUSE
    for left in reversed(range(TRIES)):
        try:
            found = files.cat_ranges([path] * len(parts), starts, ends, on_error="raise")
            if failed := next((each for each in found if isinstance(each, Exception)), None):
                raise failed
            _check_lengths(shard, parts, found)
            return found
        except (UserError, FileNotFoundError, PermissionError):
            raise
        except Exception as error:
            if not left or _is_refused(error):
                raise
        time.sleep(pause)
        pause *= 2
    raise AssertionError


@contextmanager
def telling_of_the_store(address: str) -> Iterator[None]:
    """What a person can mend about a store becomes a `UserError` of one line."""
    try:
        yield
    except (UserError, TypeError, AttributeError, LookupError, AssertionError):  # faults of ours stay what they are
        raise
    except Exception as error:
        raise UserError(_told(address, error)) from error


def _told(address: str, error: Exception) -> str:
    if SCHEME.match(address) and (_is_refused(error) or _is_refused(error.__cause__)):
        return f"{address} cannot be read, access is refused: give its store your credentials, as fsspec's docs have it"
    if isinstance(error, FileNotFoundError):
        return f"there is no {address}"
    said = one_line(" ".join(str(error).split()))[:300] or type(error).__name__
    if isinstance(error, ImportError):
        return f"{address} needs another package: {said}"
    if isinstance(error, OSError) and error.strerror:
        said = error.strerror
    return f"{address} cannot be read: {said}"


def _is_refused(error: Any) -> bool:
    """Whether a store wants to know who asks: each has an error of its own."""
    words = type(error).__name__
    return isinstance(error, PermissionError) or "Credential" in words or getattr(error, "status", None) in REFUSED


def beside(shard: Shard, name: str) -> str | None:
    """A small text file that lies in the folder of a shard; None without one."""
    address = shard.address.rpartition("/")[0] + "/" + name
    try:
        if shard.is_remote:
            files, path = fsspec.url_to_fs(address)
            content = files.cat_file(path, start=0, end=MOST_BESIDE)
        else:
            with Path(address).open("rb") as file:
                content = file.read(MOST_BESIDE)
        return content.decode("utf-8")
    except Exception:  # a store has errors of its own for what is not there
        return None
