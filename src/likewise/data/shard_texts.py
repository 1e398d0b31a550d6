"""Texts in shards: read when they are needed, and tokenised once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from likewise.data.cache import digest
from likewise.data.request import Request
from likewise.data.shard_index import TEXT
from likewise.data.shards import Rows, ShardIds, ShardSet, shard_set
from likewise.data.source import Lazy
from likewise.data.text import Labels, TextSource
from likewise.errors import UserError

AT_ONCE = 1024  # texts


class ShardTexts(Lazy):
    """Texts of shards, at these rows."""

    def __init__(self, samples: ShardSet, rows: Rows) -> None:
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def one(self, index: int) -> str:
        return self._read(self.rows[index : index + 1])[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.rows), AT_ONCE):
            yield from self._read(self.rows[start : start + AT_ONCE])

    @property
    def content(self) -> str:
        """What the texts are known again by."""
        return digest([*self.samples.shards, self.rows.tobytes()])

    def _read(self, rows: Rows) -> list[str]:
        return [content.content.decode("utf-8-sig").strip() for content in self.samples.contents(rows)]


class ShardTextSource(TextSource):
    """Texts of shards, known again by their index: nothing of them is read to find the tokens in the cache."""

    documents: ShardTexts

    @cached_property
    def _content(self) -> str:
        return self.documents.content


class Captions(Lazy):
    """What is said of samples of shards: of each row, the caption of a number."""

    def __init__(self, samples: ShardSet, rows: Rows, numbers: Rows) -> None:
        self.column, self.rows, self.numbers = samples.table["captions"], rows, numbers

    def __len__(self) -> int:
        return len(self.rows)

    def one(self, index: int) -> str:
        return self.column[int(self.rows[index])].as_py()[int(self.numbers[index])]


class CaptionedIds(Lazy):
    """The ids of samples of shards with their captions; those of several end in their number, `a.png#2`."""

    def __init__(self, samples: ShardSet, rows: Rows, numbers: Rows) -> None:
        self.samples, self.rows, self.numbers = samples, rows, numbers

    def __len__(self) -> int:
        return len(self.rows)

    def one(self, index: int) -> str:
        row = int(self.rows[index])
        several = self.samples.caption_counts[row] > 1
        return self.samples.id(row) + (f"#{self.numbers[index] + 1}" if several else "")


def open_source(request: Request) -> TextSource | None:
    """The texts of shards that belong to no file; None for any other data."""
    if request.read_options.modality not in (None, TEXT) or request.read_options.columns is not None:
        return None
    samples = shard_set(request)
    if samples is None:
        return None
    rows = samples.of(TEXT)
    if not len(rows):
        return None
    classes, labels = samples.labels(rows)

    def give() -> Labels:
        if isinstance(labels, str):
            raise UserError(labels)
        return labels, classes

    return ShardTextSource(
        ShardTexts(samples, rows),
        name=samples.name,
        ids=ShardIds(samples, rows),
        labels=give,
        skipped=samples.listed("unread"),
        progress=request.progress,
    )
