"""Put an encoder to use: the embeddings of a source, streamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from likewise.errors import UserError
from likewise.evaluation.features import encoder_features, stream
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.training.callbacks.progress import progress_bar

if TYPE_CHECKING:
    from likewise.data.source import Source


def check_ending(out: Path) -> None:
    """Raise `UserError` unless a file's ending says what to write."""
    if out.suffix not in (".parquet", ".npy"):
        raise UserError(f"out must end in .parquet or .npy, got {out}")


def write_embeddings(
    encoder: nn.Module, views: EvaluationViews, source: Source, out: Path, *, compute: ComputeSettings, progress: bool
) -> tuple[int, int]:
    """Write embeddings to `.parquet` (id, label where there are any, vector) or `.npy` (vectors); returns rows and dim.

    Raises:
        UserError: for another ending.
    """
    check_ending(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with progress_bar(show=progress) as tell:
            featurize = encoder_features(compute.place(encoder).eval(), views, compute)
            parts = _told(stream(featurize, source, batch_size=compute.batch_size), len(source), tell)
            dim = (_write_npy if out.suffix == ".npy" else _write_parquet)(beside, parts, source)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return len(source), dim


def _told(parts: Iterator[Tensor], total: int, tell: Callable[[int, int, str], None]) -> Iterator[Tensor]:
    done = 0
    for part in parts:
        done += len(part)
        tell(done, total, "embedding")
        yield part


def _write_npy(path: Path, parts: Iterator[Tensor], source: Source) -> int:
    import numpy as np

    array, start = None, 0
    for part in parts:
        if array is None:
            array = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=(len(source), part.shape[1]))
        array[start : start + len(part)] = part.numpy()
        start += len(part)
    assert array is not None
    array.flush()
    return array.shape[1]


def _write_parquet(path: Path, parts: Iterator[Tensor], source: Source) -> int:
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
