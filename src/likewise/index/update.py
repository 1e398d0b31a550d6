"""An index brought to what the data is now: only samples that it does not know are embedded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float32, Int, UInt64

from likewise.console import count_of, tell
from likewise.data.copies import AT_ONCE, batch_digests, digest
from likewise.data.given_labels import words_of
from likewise.data.source import Source
from likewise.data.text import corpus
from likewise.errors import UserError
from likewise.index.table import EmbeddingIndex, reading

Embed = Callable[[Int[torch.Tensor, " n"]], Float32[np.ndarray, "n dim"]]
"""Places of samples -> their embeddings."""

DIGEST_BYTES = 8


class IndexUpdate(NamedTuple):
    """What an index has after an update, and what was done."""

    out: str
    rows: int
    dim: int
    new: int
    """Samples whose ids were not there."""
    there: int
    """Samples that were there as they are."""
    changed: int
    """Samples whose ids were there with other content or another label: their rows are replaced."""
    embedded: int
    """Of the new and the changed, those whose content no row had."""
    gone: int
    """Rows whose ids the data does not have."""
    deleted: bool
    """Whether these were deleted."""

    def __str__(self) -> str:
        kept = "" if not self.gone else " (deleted)" if self.deleted else " (kept: --prune deletes them)"
        counts = [f"{self.new:,} new", f"{self.there:,} already there", f"{self.changed:,} changed"]
        counts = [*(counts if self.changed else counts[:2]), f"{self.gone:,} gone{kept}"]
        return f"{self.out}: {count_of(self.rows, 'row')}, {self.dim} dimensions: {', '.join(counts)}"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


class KnownRows(NamedTuple):
    """What an index holds, each array sorted, as digests of 8 bytes."""

    ids: UInt64[np.ndarray, " n"]
    keys: UInt64[np.ndarray, " n"]
    """Of id, content and label together."""
    contents: UInt64[np.ndarray, " n"]
    numbers: UInt64[np.ndarray, " n"]
    """The rows that hold the contents."""


class SomeSamples(NamedTuple):
    """Samples of a source as rows of an index, but for their vectors."""

    places: Int[torch.Tensor, " n"]
    """Where they are in the source."""
    columns: dict[str, list[Any]]
    ids: UInt64[np.ndarray, " n"]
    keys: UInt64[np.ndarray, " n"]
    contents: UInt64[np.ndarray, " n"]


class Changes(NamedTuple):
    """Rows of an index that are not what the data is."""

    stale: list[int]
    """Of ids that the data has, with other content or another label."""
    gone: list[int]
    """Of ids that the data does not have."""


def update_index(
    index: EmbeddingIndex,
    source: Source,
    embed: Embed,
    *,
    out: str,
    at_once: int,
    prune: bool,
    progress: bool,
    report: Callable[[int], None],
) -> IndexUpdate:
    """Add the samples of a source that an index does not have, and replace those that have changed.

    Samples are added some at a time. What was added stays if the process is killed, and is not embedded again. Vectors
    of samples with another id or label than before are taken from the index.

    Args:
        index: is changed.
        source: the samples.
        embed: gives the embeddings of some of them.
        out: the address of the index.
        at_once: samples in memory at a time.
        prune: delete the rows whose ids the source does not have.
        progress: say on stderr what takes long.
        report: called with the number of samples that are done.

    Raises:
        UserError: for samples without content to compare, or an index that cannot be read or written.
    """
    known = known_rows(index)
    samples_of = described(source)
    ids, keys = (np.zeros(len(source), dtype=np.uint64) for _ in range(2))
    added = changed = embedded = 0
    for places in torch.arange(len(source)).split(at_once):
        some = samples_of(places)
        ids[places.numpy()], keys[places.numpy()] = some.ids, some.keys
        absent = np.flatnonzero(~among(some.keys, known.keys))
        if len(absent):
            vectors, computed = _vectors(index, known, some, absent, embed)
            index.add(_rows(index, some, absent, vectors))
            added += len(absent)
            changed += int(among(some.ids[absent], known.ids).sum())
            embedded += computed
        report(int(places[-1]) + 1)
    found = _changes(index, np.sort(ids), np.sort(keys))
    index.delete(found.stale + (found.gone if prune else []))
    build = index.needs_building()
    if build:
        tell(f"dividing {count_of(len(index), 'vector')} into partitions for approximate searches", show=progress)
    index.settle(build=build)
    return IndexUpdate(
        out=out,
        rows=len(index),
        dim=index.info["encoder"]["dim"],
        new=added - changed,
        there=len(source) - added,
        changed=changed,
        embedded=embedded,
        gone=len(found.gone),
        deleted=prune,
    )


def known_rows(index: EmbeddingIndex) -> KnownRows:
    """What an index holds."""
    ids, keys, contents, numbers = ([np.zeros(0, dtype=np.uint64)] for _ in range(4))
    for batch in index.rows(["id", "content", "label"]):
        its_ids, its_contents = batch["id"].to_pylist(), _contents(index, batch)
        ids.append(_numbers([_id_digest(id) for id in its_ids]))
        keys.append(_numbers(list(map(_key, its_ids, its_contents, batch["label"].to_pylist()))))
        contents.append(_numbers(its_contents))
        numbers.append(batch["_rowid"].to_numpy())
    content = np.concatenate(contents)
    order = np.argsort(content)
    return KnownRows(
        np.sort(np.concatenate(ids)), np.sort(np.concatenate(keys)), content[order], np.concatenate(numbers)[order]
    )


def described(source: Source) -> Callable[[Int[torch.Tensor, " n"]], SomeSamples]:
    """What gives samples of a source as rows."""
    words = words_of(source) if source.classes else None
    texts = corpus(source) if source.modality == "text" else None
    parts = source.parts or [source]

    def some(places: Int[torch.Tensor, " n"]) -> SomeSamples:
        contents: list[bytes] = []
        for few in places.split(AT_ONCE):
            digests = batch_digests([part.contents(few) for part in parts])
            if digests is None:
                raise UserError(
                    f"the samples of {source.name} are neither tensors nor texts, so that an index cannot know them "
                    "again: write a .parquet file"
                )
            contents += digests
        chosen = places.tolist()
        ids = [_as_text(source.ids[i]) for i in chosen]
        labels = [None if words is None or (word := words[i]) is None else _as_text(word) for i in chosen]
        columns: dict[str, list[Any]] = {"id": ids, "label": labels, "content": [one.hex() for one in contents]}
        if texts is not None:
            columns["text"] = [_as_text(texts[i]) for i in chosen]
        return SomeSamples(
            places,
            columns,
            _numbers([_id_digest(id) for id in ids]),
            _numbers(list(map(_key, ids, contents, labels))),
            _numbers(contents),
        )

    return some


def among(values: UInt64[np.ndarray, " n"], known: UInt64[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
    """Which values are among some that are sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    return known[np.searchsorted(known, values).clip(max=len(known) - 1)] == values


def _vectors(
    index: EmbeddingIndex, known: KnownRows, some: SomeSamples, absent: Int[np.ndarray, " k"], embed: Embed
) -> tuple[Float32[np.ndarray, "k dim"], int]:
    """The vectors of samples, those of known content from the index; and how many were computed."""
    contents = some.contents[absent]
    is_known = among(contents, known.contents)
    vectors = np.empty((len(absent), index.info["encoder"]["dim"]), dtype=np.float32)
    if is_known.any():
        at = known.numbers[np.searchsorted(known.contents, contents[is_known])]
        by_content = index.vectors_at(at)
        vectors[is_known] = [by_content[some.columns["content"][i]] for i in absent[is_known].tolist()]
    if not is_known.all():
        vectors[~is_known] = embed(some.places[torch.from_numpy(absent[~is_known])])
    return vectors, int((~is_known).sum())


def _rows(
    index: EmbeddingIndex, some: SomeSamples, chosen: Int[np.ndarray, " k"], vectors: Float32[np.ndarray, "k dim"]
) -> pa.Table:
    columns: dict[str, Any] = {name: [values[i] for i in chosen.tolist()] for name, values in some.columns.items()}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table(columns, schema=index.schema)


def _changes(index: EmbeddingIndex, ids: UInt64[np.ndarray, " n"], keys: UInt64[np.ndarray, " n"]) -> Changes:
    """The rows that are not among the samples of sorted ids and keys."""
    changes = Changes([], [])
    for batch in index.rows(["id", "content", "label"]):
        its_ids = batch["id"].to_pylist()
        of_data = among(_numbers([_id_digest(id) for id in its_ids]), ids)
        labels, contents = batch["label"].to_pylist(), _contents(index, batch)
        current = among(_numbers(list(map(_key, its_ids, contents, labels))), keys)
        numbers = batch["_rowid"].to_numpy()
        changes.stale.extend(numbers[of_data & ~current].tolist())
        changes.gone.extend(numbers[~of_data].tolist())
    return changes


def _contents(index: EmbeddingIndex, batch: pa.RecordBatch) -> list[bytes]:
    with reading(index.folder):
        contents = [bytes.fromhex(content) for content in batch["content"].to_pylist()]
        if any(len(content) != DIGEST_BYTES for content in contents):
            raise ValueError(f"content must be digests of {DIGEST_BYTES} bytes")
    return contents


def _key(id: str, content: bytes, label: str | None) -> bytes:
    return digest([id.encode(), content, *([] if label is None else [label.encode()])])


def _id_digest(id: str) -> bytes:
    return digest([id.encode()])


def _numbers(digests: list[bytes]) -> UInt64[np.ndarray, " n"]:
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _as_text(name: object) -> str:
    """A name as a table can hold it: a file's may be no text."""
    return str(name).encode("utf-8", "backslashreplace").decode()
