"""The table of an index: ids, embeddings, what each sample was, and which encoder made them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, UInt64

from likewise.atomic import disk_trouble, own_folder
from likewise.errors import UserError, needs, no_panic
from likewise.index.address import SCHEME
from likewise.index.manifest import names_other_places
from likewise.own_files import INDEX_FILES, INDEX_TABLE
from likewise.runs.classifier import EncoderReference
from likewise.runs.declared import check_declared
from likewise.runs.files import DAMAGED, object_in, reason_of

TABLE = INDEX_TABLE.removesuffix(".lance")
METADATA = b"likewise"
LONGEST_METADATA = 2**16
AT_ONCE = 8192
"""Rows that are read or deleted at a time."""
KEPT = timedelta(minutes=1)
"""For how long files that no row is in any more stay: a search that runs reads them."""

INDEXED_FROM = 100_000
"""Rows from which on a search is approximate: those of fewer are compared one by one."""
PROBED = 0.05
"""The share of the partitions that an approximate search looks into."""
REFINED = 10
"""For each result so many candidates are compared by their whole vectors."""
MOST_APPROXIMATE = 100
"""Results of an approximate search; of more all vectors are compared."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_PLACE = re.compile(r",? \S+\.rs:\d+:\d+$")
"""Where in its source LanceDB found an error."""


class IndexFile(TypedDict):
    """What the metadata of the table holds."""

    likewise: str
    created: str
    encoder: EncoderReference


class IndexMatch(NamedTuple):
    """A row that is similar to a query."""

    id: str
    similarity: float
    content: str
    """The digest of its sample."""
    text: str | None


class EmbeddingIndex:
    """A folder with a table of embeddings. `create` makes one, `open` opens it.

    Columns: `id`; `label`, null where there is none; `content`, the digest of the sample, in hexadecimal digits; `text`
    of texts; `vector`.

    Attributes: `folder`; `info`, see `IndexFile`.
    """

    def __init__(self, folder: Path, table: Any, info: dict[str, Any]) -> None:
        self.folder = folder
        self.info = info
        self._table = table

    def __len__(self) -> int:
        with reading(self.folder):
            return self._table.count_rows()

    @property
    def schema(self) -> pa.Schema:
        return schema_of(self.info)

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        """Whether a folder holds an index; one whose making was killed is none."""
        return any((folder / INDEX_TABLE / "_versions").glob("*.manifest"))

    @classmethod
    def create(cls, folder: Path, info: dict[str, Any]) -> EmbeddingIndex:
        """Make an index without rows in a folder that can hold one; see `check_place`."""
        lancedb = needs("lancedb", "index")
        own_folder(folder / INDEX_TABLE)
        with writing(folder):
            table = lancedb.connect(folder).create_table(TABLE, schema=schema_of(info))
        return cls(folder, table, info)

    @classmethod
    def open(cls, folder: Path) -> EmbeddingIndex:
        """Open the index in a folder.

        Raises:
            UserError: when there is none, it is damaged, or not of likewise.
        """
        if not cls.is_in(folder):
            what = "holds none" if folder.is_dir() else "is a file" if folder.exists() else "is absent"
            raise UserError(
                f"no index in {folder}, which {what}: `likewise embed RUN DATA --out {SCHEME}{folder}` makes one"
            )
        _check_inside(folder)
        lancedb = needs("lancedb", "index")
        with reading(folder):
            table = lancedb.connect(folder).open_table(TABLE)
            schema = table.schema
        told = (schema.metadata or {}).get(METADATA)
        if told is None:
            raise UserError(f"{folder} holds a table that likewise did not write: name another folder")
        try:
            if len(told) > LONGEST_METADATA:
                raise UserError(f"its metadata must have at most {LONGEST_METADATA:,} bytes, it has {len(told):,}")
            info = object_in(told.decode(), "its metadata")
            check_declared(info, IndexFile)
            if not schema.equals(schema_of(info)):
                raise UserError(f"its columns must be {', '.join(schema_of(info).names)}, as likewise makes them")
        except DAMAGED as error:
            raise UserError(_unreadable(folder, reason_of(error))) from error
        return cls(folder, table, info)

    def check_encoder(self, digest: str, run: Path) -> None:
        """Raise `UserError` unless the embeddings are those of an encoder."""
        if self.info["encoder"]["digest"] != digest:
            raise UserError(
                f"the index {self.folder} holds embeddings of another encoder, that of {self.info['encoder']['run']}: "
                f"use that run, or make an index of {run} in another folder: "
                f"`likewise embed {run} DATA --out {SCHEME}FOLDER`"
            )

    # --- Rows

    def rows(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows, some at a time, with their numbers in the column `_rowid`."""
        with reading(self.folder):
            yield from self._table.search().select(list(columns)).with_row_id(True).to_batches(AT_ONCE)

    def vectors_at(self, numbers: UInt64[np.ndarray, " n"]) -> dict[str, Float32[np.ndarray, " dim"]]:
        """The vectors of rows, by the content of their samples."""
        with reading(self.folder):
            found = self._table.take_row_ids(np.unique(numbers).tolist()).select(["content", "vector"]).to_arrow()
        return dict(zip(found["content"].to_pylist(), vectors_of(found["vector"]), strict=True))

    def add(self, rows: pa.Table) -> None:
        """Add rows: all of them, or none where the process is killed."""
        with writing(self.folder):
            self._table.add(rows)

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete the rows of some numbers."""
        for start in range(0, len(numbers), AT_ONCE):
            with writing(self.folder):
                self._table.delete(f"_rowid IN ({', '.join(map(str, numbers[start : start + AT_ONCE]))})")

    def needs_building(self) -> bool:
        """Whether there are enough rows for an approximate search, most of which the index of it does not have."""
        with reading(self.folder):
            known = [index for index in self._table.list_indices() if index.columns == ["vector"]]
            rows = self._table.count_rows()
        return rows >= INDEXED_FROM and all(2 * one.num_indexed_rows < rows for one in known)

    def settle(self, *, build: bool) -> None:
        """Join small files, remove old ones, and index the rows that are new; `build`: all rows anew."""
        kinds = needs("lancedb.index", "index")
        with writing(self.folder):
            self._table.optimize(cleanup_older_than=KEPT)
            if build:
                # √n partitions, and a byte for each number.
                how = kinds.IvfSq(distance_type="cosine", num_partitions=isqrt(self._table.count_rows()))
                self._table.create_index("vector", config=how, replace=True)
                self._table.create_index("label", config=kinds.BTree(), replace=True)  # for filters

    # --- Search

    def nearest(
        self, query: Float32[np.ndarray, " dim"], top: int, *, where: str | None = None, exact: bool = False
    ) -> list[IndexMatch]:
        """The rows most similar to a query by the cosine, the most similar first.

        All vectors that the filter leaves are compared where `exact` is asked for, where they are less than
        `INDEXED_FROM`, or where more than `MOST_APPROXIMATE` are asked for.

        Raises:
            UserError: for a filter that LanceDB does not take.
        """
        rows = len(self)
        left = rows if where is None else self._count(where)
        shown = ["id", "content", *(["text"] if "text" in self.schema.names else [])]
        with reading(self.folder):
            search = self._table.search(query, vector_column_name="vector").distance_type("cosine").limit(top)
            search = search.select([*shown, "_distance"])
            if where is not None:
                search = search.where(where)
            if exact or left < INDEXED_FROM or top > MOST_APPROXIMATE:
                search = search.bypass_vector_index()
            else:
                search = search.nprobes(probes(rows)).refine_factor(REFINED)
            found = search.to_arrow().to_pylist()
        return [
            IndexMatch(row["id"], max(-1.0, min(1.0, 1 - row["_distance"])), row["content"], row.get("text"))
            for row in found
        ]

    def _count(self, where: str) -> int:
        """How many rows a filter leaves."""
        try:
            return self._table.count_rows(where)
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(
                f"where must be a condition on {', '.join(self.schema.names[:-1])}, such as \"label = 'cat'\", got "
                f"{where!r}: {_said(error)}"
            ) from error


def schema_of(info: dict[str, Any]) -> pa.Schema:
    """The columns of a table, and what it says of itself."""
    texts = [pa.field("text", pa.string(), nullable=False)] if info["encoder"]["modality"] == "text" else []
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("content", pa.string(), nullable=False),
        *texts,
        pa.field("vector", pa.list_(pa.float32(), info["encoder"]["dim"]), nullable=False),
    ]
    return pa.schema(fields, metadata={METADATA: json.dumps(info).encode()})


def vectors_of(column: pa.ChunkedArray) -> Float32[np.ndarray, "n dim"]:
    """A column of vectors."""
    return column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)


def probes(rows: int) -> int:
    """How many partitions are looked into."""
    return max(1, round(PROBED * isqrt(rows)))


def check_place(folder: Path) -> None:
    """Raise `UserError` unless a folder can hold an index: it is absent, empty, or holds one."""
    if folder.is_file():
        raise UserError(f"{SCHEME}{folder} must name a folder, got a file")
    if folder.is_dir() and not EmbeddingIndex.is_in(folder):
        others = {entry.name for entry in folder.iterdir()} - set(INDEX_FILES)
        if any(not name.startswith(".") for name in others):
            raise UserError(f"{folder} exists and holds something else than an index: name another folder")
    _check_inside(folder)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """What LanceDB says of files that it cannot read becomes a `UserError`."""
    try:
        with no_panic(f"the index {folder}"):
            yield
    except UserError:
        raise
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(_unreadable(folder, _said(error))) from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What LanceDB says of a disk that it cannot write to becomes a `UserError`."""
    try:
        with reading(folder):
            yield
    except UserError as error:
        number = _OS_ERROR.search(str(error.__cause__))
        reason = disk_trouble(OSError(int(number[1]), os.strerror(int(number[1])))) if number else None
        if reason is None:
            raise
        raise UserError(
            f"could not write {folder}: {reason}; what was embedded is kept: the same command goes on with it"
        ) from error


def _unreadable(folder: Path, reason: str) -> str:
    return f"the index {folder} can't be read: {reason}; remove it, and embed the data again"


def _said(error: Exception) -> str:
    """The message of LanceDB, in one line and without the place in its source."""
    return _PLACE.sub("", " ".join(str(error).split()).removeprefix("lance error: ").removeprefix("Invalid input, "))[
        :300
    ]


def _check_inside(folder: Path) -> None:
    """Raise `UserError` for an index with files elsewhere: a stranger's must not choose what is read and written."""
    table = folder / INDEX_TABLE
    for path in (table, *(table.iterdir() if table.is_dir() else ())):
        if path.is_symlink():
            raise UserError(f"{path} must be a folder, got a link: remove it, or name another folder")
    for path in (table / "_versions").glob("*.manifest"):
        try:
            elsewhere = names_other_places(path)
        except FileNotFoundError:
            continue  # another process has removed an old one
        except DAMAGED as error:
            raise UserError(_unreadable(folder, reason_of(error))) from error
        if elsewhere:
            raise UserError(f"the index {folder} has files in other places, which are not read: name another folder")
