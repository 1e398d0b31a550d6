"""Shards: files with many samples each, read by an index of where they are; nothing of them is copied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.console import count_of, tell
from likewise.data import parquet_shards, tables, tar_shards
from likewise.data.addresses import ENDINGS, Address, ending_of, shard_files
from likewise.data.content import Content
from likewise.data.files import by_name, folder_of, printable
from likewise.data.labelling import Labels
from likewise.data.request import Request
from likewise.data.shard_index import AUDIO, IMAGE, Left, index_of
from likewise.data.source import Lazy
from likewise.data.stores import BLOCK, Shard, beside, read_parts, shards_in
from likewise.errors import UserError

MANIFEST = "shards.json"
"""What `likewise pack` writes beside shards; of it only the names of the classes are read, which .cls members count."""
Rows = Int[np.ndarray, " n"]


class ShardSet:
    """The samples of some shards, one shard after the other, and what of them is none.

    Attributes: `name`, what people call them; `shards`; `table`, a row for each sample (see `shard_index.SCHEMA`);
    `left`, for each shard what is no sample.
    """

    def __init__(self, name: str, shards: Sequence[Shard], tables: Sequence[pa.Table], left: Sequence[Left]) -> None:
        self.name = name
        self.shards = list(shards)
        self.tables = list(tables)
        self.left = list(left)
        self.table = pa.concat_tables(self.tables)
        self.shard = np.repeat(np.arange(len(self.shards)), [len(table) for table in self.tables])
        self.first = np.cumsum([0, *(len(table) for table in self.tables)])

    def column(self, name: str) -> np.ndarray:
        """The numbers of a column, a value for each sample; 0 where there is none."""
        column = self.table[name]
        return pa.compute.fill_null(column, False if pa.types.is_boolean(column.type) else 0).to_numpy()

    @cached_property
    def places(self) -> Int[np.ndarray, "len 2"]:
        return np.stack([self.column("start"), self.column("length")], axis=1)

    @cached_property
    def caption_counts(self) -> Rows:
        """How many captions each sample has."""
        return pa.compute.fill_null(pa.compute.list_value_length(self.table["captions"]), 0).to_numpy().astype(np.int64)

    def of(self, kind: str) -> Rows:
        """Which samples are of a kind."""
        return np.flatnonzero(pa.compute.equal(self.table["kind"], kind).to_numpy())

    def member(self, row: int) -> str:
        """The name of a sample in its shard."""
        shard = self.shard[row]
        return self.tables[shard]["name"][int(row - self.first[shard])].as_py()

    def id(self, row: int) -> str:
        """The name of a sample, after that of its shard where there are several."""
        return self._within(self.shards[self.shard[row]]) + self.member(row)

    def _within(self, shard: Shard) -> str:
        return f"{printable(shard.name)}/" if len(self.shards) > 1 else ""

    def contents(self, rows: Rows) -> list[Content]:
        """The files of samples, in the order of `rows`."""
        found: list[Any] = [None] * len(rows)
        numbers = self.shard[rows]
        for number in np.unique(numbers).tolist():
            shard, which = self.shards[number], np.flatnonzero(numbers == number)
            parts = [(int(start), int(length)) for start, length in self.places[rows[which]].tolist()]
            column = self.tables[number]["column"][0].as_py()
            read = parquet_shards.read_rows(shard, parts, column) if column else read_parts(shard, parts)
            for place, content in zip(which.tolist(), read, strict=True):
                found[place] = Content(self.member(int(rows[place])), content)
        return found

    def blocks(self, rows: Rows) -> Int[Tensor, " n"] | None:
        """A number for each sample, the same for those that are read together; None where each is read alone."""
        grouped = np.array([ending_of(shard.address) == ".parquet" for shard in self.shards])
        if not (grouped.any() or any(shard.is_remote for shard in self.shards)):
            return None
        shard, start = self.shard[rows], self.places[rows, 0]
        block = np.where(grouped[shard], start, start // BLOCK)
        return torch.from_numpy(np.unique(np.stack([shard, block], axis=1), axis=0, return_inverse=True)[1].reshape(-1))

    def listed(self, *fields: str) -> list[tuple[str, str]]:
        """(member, reason) of what is no sample, of some fields of `Left`, one after the other."""
        return [
            (self._within(shard) + member, why)
            for field in fields
            for shard, left in zip(self.shards, self.left, strict=True)
            for member, why in getattr(left, field)
        ]

    def labels(self, rows: Rows) -> Labels:
        """The classes of samples: what is said of them, or else the first folder of their names in the shard."""
        words = self.table["label"].take(pa.array(rows)).to_pylist()
        if any(words):
            classes, labels = by_name(self._named(words, rows))
        else:
            folders = [self.member(int(row)).rpartition("/")[0].partition("/")[0] for row in rows]
            classes, labels = by_name(["" if folder in (".", "..") else folder for folder in folders])
        if len(classes) > 1 or any(words):
            return classes, labels
        return [], f"{self.name} gives no labels: no .cls, no JSON, no column and no folder in it says what samples are"

    def _named(self, words: list[str], rows: Rows) -> list[str]:
        """Labels as words: numbers are looked up in the list of classes beside their shard, where there is one."""
        if not all(word.isdecimal() for word in words if word):
            return words
        names: dict[str, list[str]] = {}
        for number in np.unique(self.shard[rows]).tolist():
            shard = self.shards[number]
            folder = shard.address.rpartition("/")[0]
            if folder not in names:
                names[folder] = _classes(beside(shard, MANIFEST))
        lists = [names[shard.address.rpartition("/")[0]] for shard in self.shards]
        named = []
        for word, row in zip(words, rows.tolist(), strict=True):
            known = lists[self.shard[row]]
            named.append(known[int(word)] if word and len(word) < 10 and int(word) < len(known) else word)
        return named


class ShardIds(Lazy):
    """The ids of samples of shards."""

    def __init__(self, samples: ShardSet, rows: Rows) -> None:
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def one(self, index: int) -> str:
        return self.samples.id(int(self.rows[index]))


def _classes(manifest: str | None) -> list[str]:
    """The names of the classes that a manifest says; none where it says something else."""
    with suppress(ValueError, RecursionError):
        said = json.loads(manifest or "{}")
        classes = said.get("classes") if isinstance(said, dict) else None
        if isinstance(classes, list) and all(isinstance(name, str) for name in classes):
            return classes
    return []


def shard_set(request: Request) -> ShardSet | None:
    """The samples of the shards that are asked for; None for any other data.

    Raises:
        UserError: for shards that are not there or cannot be read.
    """
    data = request.data
    place: Path | Address
    if isinstance(data, Address):
        place, name = data, data.name
    elif isinstance(data, Path) and data.is_dir():
        asked = folder_of(request)
        assert asked is not None
        place, name = asked
        if not shard_files(place):
            return None
    elif isinstance(data, Path) and data.suffix.lower() in ENDINGS and data.is_file():
        place, name = data, printable(data.stem)
        if data.suffix.lower() == ".parquet" and not tables.holds_files(data):
            return None  # a table: its rows are read as such
        if request.split is not None:
            raise UserError(f"{data} is one file and has no split {request.split!r}")
    else:
        return None
    shards = shards_in(place)
    if not shards:
        raise UserError(f"{place} holds no shard")
    indices, left = [], []
    if request.progress and len(shards) > 1:
        tell(f"{name}: {count_of(len(shards), 'shard')}, each read through once for its index")
    for shard in shards:
        is_table = ending_of(shard.address) == ".parquet"
        scan = partial(parquet_shards.scan, request.read_options) if is_table else tar_shards.scan
        kind = parquet_shards.kind_of_index(request.read_options) if is_table else ".tar"
        table, left_out = index_of(shard, scan, kind=kind)
        indices.append(table)
        left.append(left_out)
    return ShardSet(name, shards, indices, left)


def media_of(request: Request, kind: str) -> tuple[ShardSet, Rows] | None:
    """The samples of shards of one kind, images or recordings; None where there are more of the other, or no shards."""
    if request.read_options.modality not in (None, kind) or request.read_options.columns is not None:
        return None
    samples = shard_set(request)
    if samples is None:
        return None
    rows, others = samples.of(kind), samples.of(AUDIO if kind == IMAGE else IMAGE)
    if not len(rows) or (request.read_options.modality is None and len(others) > len(rows)):
        return None
    return samples, rows
