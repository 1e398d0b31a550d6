"""Embeddings in a file: `.parquet` (columns id, label where there are any, vector); `.npy`, with `.ids.txt` beside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likewise.atomic import replacing, telling_of_the_disk
from likewise.console import one_line
from likewise.errors import UserError
from likewise.own_files import ids_file

if TYPE_CHECKING:
    from likewise.data.source import Source

SUFFIXES = (".parquet", ".npy")
AT_ONCE = 4096  # rows of a file in memory


def check_suffix(out: Path) -> None:
    """Raise `UserError` unless a file's suffix says what to write."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"out must end in {' or '.join(SUFFIXES)}, or be lance://FOLDER, got {out}")


def write_embeddings(parts: Iterator[Float[Tensor, "n *places dim"]], source: Source, out: Path) -> int:
    """Write the embeddings of a source's samples, or of their places, as they come, a part at a time.

    Returns their dimension.

    `out` appears when it is complete; an error leaves what was there. Beside a `.npy` file, `.ids.txt` has the id of
    each row on a line of its own.

    Raises:
        UserError: for another suffix, or when the file cannot be written.
    """
    check_suffix(out)
    write = _write_npy if out.suffix == ".npy" else write_parquet
    with telling_of_the_disk(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as part:
            dim = write(part, parts, source)
        if out.suffix == ".npy":
            with replacing(ids_file(out)) as part, part.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{one_line(str(id))}\n" for id in source.ids)
        return dim


def _write_npy(path: Path, parts: Iterator[Float[Tensor, "n *places dim"]], source: Source) -> int:
    """Header and rows, by plain writes: a memory map of a full disk would end the process."""
    dim = 0
    with path.open("wb") as file:
        for part in parts:
            rows = np.ascontiguousarray(part.numpy(), dtype=np.float32)
            if file.tell() == 0:
                dim = rows.shape[-1]
                descr = np.lib.format.dtype_to_descr(rows.dtype)
                header = {"descr": descr, "fortran_order": False, "shape": (len(source), *rows.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(rows.data)
    return dim


def write_parquet(
    path: Path,
    parts: Iterator[Float[Tensor, "n dim"]],
    source: Source,
    *,
    first: int = 0,
    metadata: dict[bytes, bytes] | None = None,
) -> int:
    """Write the embeddings of the samples from `first` on into a new file, as they come; returns their dimension."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = source.classes
    labels = source.labels() if classes else None
    ids, writer, start, dim = source.ids, None, first, 0
    try:
        for part in parts:
            dim, rows = part.shape[1], range(start, start + len(part))
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.numpy().ravel()), dim)
            columns = {"id": pa.array([ids[i] for i in rows]), "vector": vectors}
            if labels is not None:
                named = [classes[label] if label >= 0 else None for label in labels[start : rows.stop].tolist()]
                columns["label"] = pa.array(named, pa.string())
            table = pa.table(columns, metadata=metadata)
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
