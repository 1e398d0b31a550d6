"""Embeddings in a file: `.parquet` (columns id, label where there are any, vector) or `.npy` (vectors only)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likewise.errors import UserError

if TYPE_CHECKING:
    from likewise.data.source import Source

SUFFIXES = (".parquet", ".npy")
AT_ONCE = 4096  # rows of a file in memory


def check_suffix(out: Path) -> None:
    """Raise `UserError` unless a file's suffix says what to write."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"out must end in {' or '.join(SUFFIXES)}, got {out}")


def write_embeddings(parts: Iterator[Float[Tensor, "n dim"]], source: Source, out: Path) -> int:
    """Write the embeddings of a source's samples as they come, a part at a time; returns their dimension.

    `out` appears when it is complete; an error leaves what was there.

    Raises:
        UserError: for another suffix.
    """
    check_suffix(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        dim = (_write_npy if out.suffix == ".npy" else _write_parquet)(beside, parts, source)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return dim


def _write_npy(path: Path, parts: Iterator[Float[Tensor, "n dim"]], source: Source) -> int:
    array, start = None, 0
    for part in parts:
        if array is None:
            array = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(len(source), part.shape[1]))
        array[start : start + len(part)] = part.numpy()
        start += len(part)
    assert array is not None
    array.flush()
    return array.shape[1]


def _write_parquet(path: Path, parts: Iterator[Float[Tensor, "n dim"]], source: Source) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = source.classes
    labels = source.labels() if classes else None
    ids, writer, start, dim = source.ids, None, 0, 0
    try:
        for part in parts:
            dim, rows = part.shape[1], range(start, start + len(part))
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.numpy().ravel()), dim)
            columns = {"id": pa.array([ids[i] for i in rows]), "vector": vectors}
            if labels is not None:
                columns["label"] = pa.array([classes[label] for label in labels[start : rows.stop].tolist()])
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            start = rows.stop
    finally:
        if writer:
            writer.close()
    return dim


class StoredEmbeddings:
    """A `.parquet` file of embeddings: `parts()` reads its vectors, some at a time; `ids[i]` is the id of row i."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.ids = file.read(columns=["id"]).column("id")

    @classmethod
    def open(cls, path: Path) -> StoredEmbeddings | None:
        """The embeddings in a file; None for any other table.

        Raises:
            UserError: for a file that is not there.
        """
        import pyarrow.parquet as pq

        if not path.is_file():
            raise UserError(f"no collection {path}: `likewise embed RUN DATA --out {path}` makes one")
        file = pq.ParquetFile(path)
        return cls(file) if {"id", "vector"} <= set(file.schema_arrow.names) else None

    def parts(self) -> Iterator[Float[Tensor, "n dim"]]:
        for batch in self._file.iter_batches(AT_ONCE, columns=["vector"]):
            vectors = batch.column("vector")
            yield torch.tensor(vectors.flatten().to_numpy()).reshape(-1, vectors.type.list_size)
