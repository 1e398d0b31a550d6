"""The index of a shard: which samples it has, where their bytes are, and what they are; made once, kept in the cache.

Making it reads the shard from its beginning to its end and decodes every picture and recording once, so that what
cannot be read is known, and listed, before a training begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from likewise.data import audio, endings, pictures
from likewise.data.cache import cached, digest
from likewise.data.content import Content
from likewise.data.files import in_threads, printable
from likewise.data.levels import Levels
from likewise.data.stores import Shard, opened, telling_of_the_store
from likewise.errors import needs

# Part of every key: raise it when the same shard would have another index.
INDEXER = 1
IMAGE, AUDIO, TEXT = "image", "audio", "text"
MOST_BYTES = 1 << 30
"""Of a picture or a recording before it is decoded."""
MOST_TEXT = 16 << 20
CHECKED = 8  # px: a JPEG is decoded at an eighth of its size then, all of its data being read
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("kind", pa.string()),
        ("start", pa.int64()),  # byte, or row group
        ("length", pa.int64()),  # bytes, or row in the group
        ("label", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("column", pa.string()),
        ("side", pa.int32()),
        ("channels", pa.int32()),
        ("deep", pa.bool_()),
        ("seconds", pa.float64()),
        ("rate", pa.int32()),
        ("pieces", pa.int32()),
        ("silent", pa.bool_()),
        ("clipped", pa.bool_()),
    ]
)


class FoundSample(NamedTuple):
    """A sample of a shard before it was looked into."""

    name: str
    kind: str
    start: int
    length: int
    label: str = ""
    captions: tuple[str, ...] = ()
    column: str = ""
    """Of a table: the column that holds it."""


class Left(NamedTuple):
    """What of a shard is no sample: (member, reason)."""

    unread: list[tuple[str, str]]
    """Pictures, recordings and texts that cannot be read."""
    unpaired: list[tuple[str, str]]
    """Samples without a caption, and captions without a sample."""
    others: list[tuple[str, str]]


Read = Callable[[FoundSample], bytes]
Scan = Callable[[Any, Shard], tuple[list[FoundSample], Left, Read]]
"""From an open shard to its samples, what is left of it, and what reads the bytes of a sample."""


def index_of(shard: Shard, scan: Scan, *, kind: str) -> tuple[pa.Table, Left]:
    """The samples of a shard, a row each (`SCHEMA`), and what is none; from the cache where it is known.

    Args:
        scan: of this kind of file.
        kind: a word for that.

    Raises:
        UserError: for a shard that cannot be read.
    """
    key = digest([INDEXER, kind, shard.address, shard.size, shard.version])
    folder, metadata = cached("shards", key, partial(_build, shard, scan))
    table = pa.ipc.open_file(pa.memory_map(str(folder / "members.arrow"))).read_all()
    return table, Left(*([(member, why) for member, why in metadata[field]] for field in Left._fields))


def _build(shard: Shard, scan: Scan, building: Path) -> dict[str, Any]:
    with telling_of_the_store(shard.address), opened(shard) as file:
        samples, left, read = scan(file, shard)
        rows = []
        with pictures.quietly():
            for found, looked in zip(samples, _looked_at(samples, read), strict=True):
                if isinstance(looked, str):
                    left.unread.append((printable(found.name), looked))
                else:
                    said = {"label": _plain(found.label), "captions": [*map(_plain, found.captions)]}
                    rows.append(found._asdict() | {"name": printable(found.name)} | said | looked)
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
    with pa.OSFile(str(building / "members.arrow"), "wb") as out, pa.ipc.new_file(out, SCHEMA) as writer:
        writer.write_table(table)
    return left._asdict()


def _plain(text: str) -> str:
    """A text that can be kept: JSON may hold halves of letters."""
    return text.encode("utf-8", "backslashreplace").decode()


def _looked_at(samples: list[FoundSample], read: Read) -> Iterator[dict[str, Any] | str]:
    """What each sample is, or why it is none. One thread reads, others decode; few samples wait in memory."""
    if any(found.kind == AUDIO for found in samples):
        for module in ("soundfile", "soxr"):
            needs(module, "audio")  # in a thread, what is missing would be taken for what is wrong with a member

    def contents() -> Iterable[tuple[FoundSample, bytes | str]]:
        for found in samples:
            most = MOST_TEXT if found.kind == TEXT else MOST_BYTES
            yield found, read(found) if found.length <= most else f"larger than {most:,} bytes"

    with closing(in_threads(_look, contents(), ahead=2 * (os.cpu_count() or 1))) as looked:
        yield from looked


def _look(sample: tuple[FoundSample, bytes | str]) -> dict[str, Any] | str:
    found, content = sample
    if isinstance(content, str):
        return content
    if not content:
        return "empty file"
    try:
        return LOOK[found.kind](Content(found.name, content))
    except Exception as error:
        return pictures.reason(error)


def _picture(content: Content) -> dict[str, Any]:
    header = pictures.header(content)
    channels = 3 if header.channels in (1, 3) else header.channels
    pictures.decode(content, CHECKED, channels, Levels(pictures.SIXTEEN_BITS))
    return {"side": header.side, "channels": header.channels, "deep": header.pixels != pictures.BYTES}


def _recording(content: Content) -> dict[str, Any]:
    rate = audio.rate_of(content)
    sound = audio.decode(content, rate)
    whole = {"seconds": len(sound.samples) / rate, "rate": rate, "pieces": sound.pieces}
    return whole | {"silent": sound.silent, "clipped": sound.clipped}


def _text(content: Content) -> dict[str, Any] | str:
    try:
        text = content.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return f"not UTF-8: byte {error.start + 1:,}"
    return {} if text.strip() else "empty file"


LOOK: dict[str, Callable[[Content], dict[str, Any] | str]] = {IMAGE: _picture, AUDIO: _recording, TEXT: _text}


def kind_of(name: str, start: Callable[[], bytes]) -> str | None:
    """What a file is, by the ending of its name or else by its content; None for no sample.

    Args:
        start: gives the content, which is not looked at where the ending tells.
    """
    lower = name.lower()
    for kind, suffixes in ((IMAGE, endings.IMAGES), (AUDIO, endings.RECORDINGS)):
        if lower.endswith(suffixes):
            return kind
    content = Content(name, start())
    if pictures.recognises(content):
        return IMAGE
    return AUDIO if audio.recognises(content) else None
