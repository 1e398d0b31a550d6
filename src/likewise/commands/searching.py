"""Search: the samples of a collection that are most alike to a text, a picture or a recording. Exact."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likewise.data.open import open_source
from likewise.data.pairs import halves_of, opened
from likewise.data.source import Request
from likewise.data.text import documents_of
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings, encode
from likewise.evaluation.features import encoder_features, stream
from likewise.modalities import kinds_of, tower_of
from likewise.training.machine import device_name

if TYPE_CHECKING:
    from likewise.data.read_options import ReadOptions
    from likewise.data.source import Source
    from likewise.modalities.run import Run

AT_ONCE = 4096  # rows of a collection in memory


class Match(NamedTuple):
    """One of the collection's samples."""

    rank: int
    similarity: float
    """Cosine, in [-1, 1]."""
    id: str
    words: str | None = None
    """What it says, where it is a text."""


def search_collection(
    run: Run, collection: Any, query: str, modality: str, *, read_options: ReadOptions, root: Any, top: int
) -> list[Match]:
    """See `likewise.search`.

    Args:
        query: a text, or the path of a picture or a recording, as `modality` says.
        read_options: how data is read to be taken by the run.
    """
    vector = embedded_query(run, query, modality, read_options)
    best: list[tuple[float, int, str, str | None]] = []
    place = 0
    for ids, vectors, words in _rows(run, collection, modality, read_options, root):
        if vectors.shape[1] != len(vector):
            raise UserError(f"{collection} has vectors of {vectors.shape[1]} numbers, the encoder gives {len(vector)}")
        similarities = F.normalize(vectors.float(), dim=1) @ vector
        found = similarities.topk(min(top, len(similarities)))
        for value, i in zip(found.values.tolist(), found.indices.tolist(), strict=True):
            # Of equally similar ones the first in the collection stays.
            heapq.heappush(best, (value, -(place + i), ids[i], words[i] if words else None))
        best = heapq.nlargest(top, best)
        heapq.heapify(best)
        place += len(ids)
    ordered = sorted(best, reverse=True)
    return [Match(rank, value, name, said) for rank, (value, _, name, said) in enumerate(ordered, start=1)]


def embedded_query(run: Run, query: str, modality: str, read_options: ReadOptions) -> Float[Tensor, " dim"]:
    """The embedding of a query, of length 1."""
    encoder, views = tower_of(run.encoder, run.views, modality)
    if views is run.views and modality != run.modality:
        raise UserError(f"{run.path} has learned from {run.modality} samples: it cannot be asked by {modality}")
    source: Source
    if modality == "text":
        source = open_source([query], read_options=read_options.with_(modality="text"), progress=False)
    else:
        path = Path(query).expanduser()
        media = opened(
            modality, path.parent, [path.name], Request(path, read_options=read_options, progress=False), path.name
        )
        if media.source is None or media.unread:
            raise UserError(f"{modality} {query} can't be read: {media.unread[0][1]}")
        source = media.source
    compute = ComputeSettings(torch.device(device_name()), channels_last=True)
    return F.normalize(encode(compute.place(encoder), views, source, compute=compute), dim=1)[0]


def _rows(
    run: Run, collection: Any, asked: str, read_options: ReadOptions, root: Any
) -> Iterator[tuple[list[str], Float[Tensor, "n dim"], list[str] | None]]:
    """Ids, vectors and words of a collection, some at a time: from a file of `likewise embed`, or embedded now."""
    if str(collection).endswith(".parquet") and (kept := _kept(Path(collection))) is not None:
        for batch in kept.iter_batches(AT_ONCE, columns=["id", "vector"]):
            vectors = batch.column("vector")
            dim = vectors.type.list_size
            values = torch.tensor(vectors.flatten().to_numpy())
            yield batch.column("id").to_pylist(), values.reshape(-1, dim), None
        return
    source = open_source(collection, root=root, read_options=read_options, progress=False)
    if source.modality == "pair":
        kinds = kinds_of(source)
        others = [i for i, kind in enumerate(kinds) if kind != asked]
        source = halves_of(source)[others[0] if others else 0]
    encoder, views = tower_of(run.encoder, run.views, source.modality)
    compute = ComputeSettings(torch.device(device_name()), channels_last=True)
    ids, start = source.ids, 0
    documents = documents_of(source) if source.modality == "text" else None
    for part in stream(encoder_features(compute.place(encoder).eval(), views, compute), source, batch_size=256):
        rows = range(start, start + len(part))
        yield [ids[i] for i in rows], part, [documents[i] for i in rows] if documents else None
        start += len(part)


def _kept(path: Path) -> Any:
    """A file that `likewise embed` wrote; None for any other table.

    Raises:
        UserError: for a file that is not there.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError(f"no collection {path}: `likewise embed RUN DATA --out {path}` would make it")
    file = pq.ParquetFile(path)
    return file if {"id", "vector"} <= set(file.schema_arrow.names) else None
