"""Parquet files that hold pictures, recordings or texts themselves, a sample a row, as Hugging Face's data sets do."""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet

from likewise.data import tables
from likewise.data.captions import KEYS
from likewise.data.read_options import ReadOptions
from likewise.data.shard_index import AUDIO, IMAGE, TEXT, FoundSample, Left, Read, kind_of
from likewise.data.stores import Shard, check_unchanged, telling_of_the_store
from likewise.errors import UserError

NAMES = {
    IMAGE: ("image", "img", "photo", "picture", "jpg", "jpeg", "png", "webp"),
    AUDIO: ("audio", "sound", "recording", "wav", "flac", "mp3"),
}
TEXTS = (*KEYS, "document", "content", "body", "abstract", "review", "title")
IDS = ("id", "__key__", "key", "file_name", "filename", "path")
MOST_GROUP = 2 << 30
"""Bytes of a row group when it is read: rows of one are decoded together."""
KEPT, MOST_OPEN = 512 << 20, 32
"""Bytes of row groups, and open files, that stay for the next batch."""


class Columns(NamedTuple):
    """Which columns of a file have what."""

    kind: str
    content: str
    """The column of pictures, recordings or, alone, texts."""
    caption: str | None
    label: str | None
    label_names: list[str]
    id: str | None


def kind_of_index(read_options: ReadOptions) -> str:
    """What decides how rows are understood, besides the file."""
    as_text = read_options.modality == TEXT
    columns = "" if read_options.columns is None else f" {read_options.columns}"
    return f".parquet {as_text} {read_options.text_column} {read_options.label_column}" + columns


def scan(read_options: ReadOptions, file: Any, shard: Shard) -> tuple[list[FoundSample], Left, Read]:
    """The samples of a file, a row each; see `shard_index.Scan`. The place of a sample is its row group and row."""
    try:
        opened = pa.parquet.ParquetFile(file)
    except (pa.ArrowException, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{shard.address} cannot be read as a Parquet file: {said}") from error
    left = Left([], [], [])
    layout = _layout(opened, read_options, shard)
    samples: list[FoundSample] = []
    number = 0
    for group in range(opened.num_row_groups):
        about = opened.metadata.row_group(group)
        if about.total_byte_size > MOST_GROUP:
            rows = f"rows {number + 1:,} to {number + about.num_rows:,}"
            left.unread.append((rows, f"a row group of more than {MOST_GROUP:,} bytes"))
        elif layout is not None:
            samples += _samples(opened, group, number, layout, left)
        number += about.num_rows
    kept: dict[int, Any] = {}

    def read(found: FoundSample) -> bytes:
        assert layout is not None
        if found.start not in kept:
            kept.clear()
            kept[found.start] = opened.read_row_group(found.start, columns=[layout.content])[0]
        return _bytes(kept[found.start][found.length])

    return samples, left, read


def _samples(opened: Any, group: int, number: int, layout: Columns, left: Left) -> Iterator[FoundSample]:
    small = [name for name in (layout.caption, layout.label, layout.id) if name is not None]
    rows = opened.read_row_group(group, columns=small).to_pylist() if small else []
    rows = rows or [{}] * opened.metadata.row_group(group).num_rows
    for row, values in enumerate(rows):
        said = values.get(layout.caption)
        captions = tuple(str(each).strip() for each in (said if isinstance(said, list) else [said]) if each)
        id = values.get(layout.id)
        name = f"row {number + row + 1}" if id in (None, "") else str(id)
        if layout.caption is not None and not captions:
            left.unpaired.append((name, "its caption is empty"))
        yield FoundSample(
            name,
            layout.kind,
            group,
            row,
            _label(values.get(layout.label), layout.label_names),
            captions,
            layout.content,
        )


def _label(value: Any, names: list[str]) -> str:
    if value is None or (isinstance(value, int) and value < 0):
        return ""
    return names[value] if isinstance(value, int) and value < len(names) else str(value)


def _layout(opened: Any, read_options: ReadOptions, shard: Shard) -> Columns | None:
    """None for a file of other things than samples."""
    schema = opened.schema_arrow
    there = list(schema.names)
    named = read_options.columns or ()
    for name in named:
        tables.column_named(name, there, where=shard.address, option="columns")
    found = None if read_options.modality == TEXT else _content(opened, schema, named or there)
    texts = [name for name in there if tables.is_text(_value_type(schema.field(name).type))]
    text: str | None
    if named:
        text = next((name for name in named if name in texts), None)
        if len(named) != 2 or found is None or text is None:
            rule = "a column of pictures or recordings and one of texts"
            raise UserError(f"columns must be {rule} of {shard.address}, got {' and '.join(named)}")
    elif read_options.text_column is not None:
        text = tables.column_named(read_options.text_column, there, where=shard.address, option="text_column")
    else:
        text = next(iter(tables.usual_columns(texts, TEXTS)), None)
    if found is not None:
        kind, content = found
    elif text is not None:
        kind, content = TEXT, text
    else:
        return None
    taken = {content, text, *(field.name for field in schema if tables.holds_bytes(field.type))}
    label, _ = tables.label_column(there, read_options, where=shard.address, taken=taken)
    id = next(iter(tables.usual_columns([name for name in texts if name not in taken], IDS)), None)
    return Columns(kind, content, None if kind == TEXT else text, label, _label_names(schema, label), id)


def _content(opened: Any, schema: pa.Schema, among: Sequence[str]) -> tuple[str, str] | None:
    """The kind and the column of files in the rows: one with a usual name, or else the first one with samples in it."""
    names = [field.name for field in schema if field.name in among and tables.holds_bytes(field.type)]
    for kind, usual in NAMES.items():
        if found := tables.usual_columns(names, usual):
            return kind, found[0]
    for name in names:
        if opened.num_row_groups and opened.metadata.row_group(0).total_byte_size <= MOST_GROUP:
            some = opened.read_row_group(0, columns=[name])[0][:8]
            for value in map(_bytes, some):
                if value and (known := kind_of("", partial(bytes, value))):
                    return known, name
    return None


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) or pa.types.is_dictionary(kind) else kind


def _bytes(value: pa.Scalar) -> bytes:
    """A value of a column of files or texts; nothing where there is none."""
    content = value.as_py()
    if isinstance(content, dict):
        content = content.get(tables.BYTES)
    return content.encode() if isinstance(content, str) else content or b""


def _label_names(schema: pa.Schema, label: str | None) -> list[str]:
    """The names of numbered classes, as Hugging Face's `datasets` writes them into a file."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        said = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
        return [str(name) for name in said]
    return []


class _Kept(threading.local):
    """What a thread has read of files: threads and processes share no handles."""

    def __init__(self) -> None:
        self.open: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self.groups: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


_kept = _Kept()


def read_rows(shard: Shard, parts: Sequence[tuple[int, int]], column: str) -> list[bytes]:
    """The files in rows of a column: (row group, row) of each.

    Row groups are kept for the next batch, as far as memory allows.

    Raises:
        UserError: for a shard that has changed, or that its store does not give.
    """
    with telling_of_the_store(shard.address):
        return [_bytes(_group(shard, group, column)[row]) for group, row in parts]


def _group(shard: Shard, group: int, column: str) -> Any:
    key = (os.getpid(), *shard, group, column)
    groups = _kept.groups
    if key not in groups:
        groups[key] = _opened(shard).read_row_group(group, columns=[column])[0]
        while len(groups) > 1 and sum(each.nbytes for each in groups.values()) > KEPT:
            groups.popitem(last=False)
    groups.move_to_end(key)
    return groups[key]


def _opened(shard: Shard) -> Any:
    key = (os.getpid(), *shard)
    if key not in _kept.open:
        if shard.is_remote:
            files, path = fsspec.url_to_fs(shard.address)
            _kept.open[key] = pa.parquet.ParquetFile(files.open(path, "rb"))
        else:
            check_unchanged(shard, os.stat(shard.address))  # noqa: PTH116
            _kept.open[key] = pa.parquet.ParquetFile(shard.address)
        while len(_kept.open) > MOST_OPEN:
            _kept.open.popitem(last=False)
    _kept.open.move_to_end(key)
    return _kept.open[key]
