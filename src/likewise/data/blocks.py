"""Long documents: read whole, in blocks of tokens; and how much of them is read otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.data.items import TextItems
from likewise.data.read_options import ReadOptions
from likewise.data.source import ChosenIds, Lazy, Source, Subset
from likewise.data.text import TextSource
from likewise.data.tokens import load
from likewise.errors import no_panic


class TokenCount(NamedTuple):
    """How much of some documents is read."""

    documents: int
    tokens: int
    """How many they have."""
    used: int
    """How many of these are read."""
    cut: int
    """How many documents end before their last token."""
    blocks: int | None
    """Into how many blocks they are cut; None where the beginning of each is read."""
    max_tokens: int

    def __str__(self) -> str:
        if self.blocks is not None:
            return (
                f"documents are read whole: {self.tokens:,} tokens of {self.documents:,} documents in {self.blocks:,} "
                f"blocks of up to {self.max_tokens:,} tokens, each of one document"
            )
        return (
            f"{self.cut:,} of {self.documents:,} documents {'is' if self.cut == 1 else 'are'} cut after "
            f"{self.max_tokens:,} tokens: {self.used:,} of {self.tokens:,} tokens are used "
            f"({self.used / self.tokens:.1%})"
        )


class BlockSource(Source):
    """Documents as blocks of at most `max_tokens` tokens, which together are all of their tokens.

    A document that is short enough is one block, `[CLS] tokens [SEP]`. A longer one is cut into as few blocks as
    possible, of about equal length, each `[CLS] tokens`, and `[SEP]` stands at the end of the last. No block holds
    tokens of two documents: nothing is predicted from a text that has nothing to do with it.

    Args:
        source: fitted to a tokenizer.
        documents: which of its documents.
    """

    modality = "text"

    def __init__(self, source: TextSource, documents: Int[Tensor, " n"], *, name: str) -> None:
        assert source.tokens is not None
        self.source, self.documents, self.name = source, documents.numpy(), name
        self.tokens = source.tokens
        # Without [CLS], which every block has.
        self.sizes = self.tokens.whole_lengths[self.documents] - 1
        self.counts = -(-self.sizes // (self.tokens.max_tokens - 1))
        self.ends = self.counts.cumsum()

    def __len__(self) -> int:
        return int(self.ends[-1])

    def read(self, indices: Int[Tensor, " n"]) -> Int[Tensor, "n longest"]:
        rows, begins, ends = self._places(indices.cpu().numpy())
        # The place before the first token of a block is that of its [CLS].
        batch = self.tokens.rows(self.tokens.offsets[self.documents[rows]] + begins, 1 + ends - begins)
        batch[:, :1] = self.tokens.special["cls"]
        return torch.from_numpy(batch)

    def text(self, index: int) -> str:
        """What a block says."""
        assert self.source.tokenizer is not None
        [row] = self.read(torch.tensor([index])).tolist()
        tokenizer, special = load(self.source.tokenizer)
        silent = {special[role] for role in ("pad", "cls", "sep")}
        with no_panic("the tokenizer"):
            return str(tokenizer.decode([i for i in row if i not in silent], skip_special_tokens=False)).strip()

    @cached_property
    def lengths(self) -> Int[Tensor, " len"] | None:
        _, begins, ends = self._places(np.arange(len(self)))
        return torch.from_numpy(1 + ends - begins)

    @cached_property
    def ids(self) -> Sequence[str]:
        return BlockIds(ChosenIds(self.source.ids, torch.from_numpy(self.documents)), self.counts, self.ends)

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        return self.source.skipped

    @cached_property
    def notes(self) -> list[str]:
        return self.source.notes

    def fitted(self, read_options: ReadOptions) -> BlockSource:
        source = self.source.fitted(read_options)
        return self if source is self.source else BlockSource(source, torch.from_numpy(self.documents), name=self.name)

    def _places(
        self, blocks: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The document of each block, and where in it the block begins and ends, in tokens after [CLS]."""
        rows = np.searchsorted(self.ends, blocks, side="right")
        nth = blocks - self.ends[rows] + self.counts[rows]
        begins, ends = (self.sizes[rows] * n // self.counts[rows] for n in (nth, nth + 1))
        return rows, begins, ends


class BlockIds(Lazy):
    """The ids of blocks: that of their document; with "#" and their number, from 0, where it has several."""

    def __init__(self, ids: Sequence[str], counts: Int[np.ndarray, " n"], ends: Int[np.ndarray, " n"]) -> None:
        self.ids, self.counts, self.ends = ids, counts, ends

    def __len__(self) -> int:
        return int(self.ends[-1])

    def one(self, index: int) -> str:
        row = int(np.searchsorted(self.ends, index, side="right"))
        count = int(self.counts[row])
        return f"{self.ids[row]}#{index - int(self.ends[row]) + count}" if count > 1 else self.ids[row]


def in_blocks(source: Source) -> Source:
    """A source that reads all tokens of the documents of a `TextSource`, or of a subset of one.

    It is the source itself where every document is short enough, or is not of this kind.
    """
    inner, documents = _documents(source)
    if inner is None or inner.tokens is None:
        return source
    blocks = BlockSource(inner, documents, name=source.name)
    return blocks if len(blocks) > len(source) else source


def token_count(source: Source) -> TokenCount | None:
    """How much is read of the documents of a source, or of the texts of its parts; None where there are no tokens."""
    if source.parts:
        counts = [count for part in source.parts if (count := token_count(part)) is not None]
        if not counts:
            return None
        documents, tokens, used, cut = (sum(column) for column in list(zip(*counts, strict=True))[:4])
        return TokenCount(documents, tokens, used, cut, None, counts[0].max_tokens)
    if isinstance(source, TextItems):
        return _count(np.array([*source.lengths_read.values()], np.int64), source.max_tokens)
    if isinstance(source, BlockSource):
        tokens = int(source.sizes.sum()) + len(source.sizes)
        return TokenCount(len(source.sizes), tokens, tokens, 0, len(source), source.tokens.max_tokens)
    inner, rows = _documents(source)
    if inner is None or inner.tokens is None:
        return None
    return _count(inner.tokens.whole_lengths[rows.numpy()], inner.tokens.max_tokens)


def _count(whole: Int[np.ndarray, " n"], most: int) -> TokenCount:
    return TokenCount(
        len(whole), int(whole.sum()), int(whole.clip(max=most).sum()), int((whole > most).sum()), None, most
    )


def cut_notes(*sources: Source) -> list[str]:
    """For each source of which documents are cut, how many they are, and how much of them is read."""
    counts = [(source.name, token_count(source)) for source in sources]
    return [f"{name}: {count}" for name, count in counts if count is not None and count.cut]


def _documents(source: Source) -> tuple[TextSource | None, Int[Tensor, " n"]]:
    """The source of texts that a source is, or is a subset of, and which of its documents these are."""
    rows = torch.arange(len(source))
    while isinstance(source, Subset):
        rows, source = source.indices[rows], source.source
    return (source if isinstance(source, TextSource) else None), rows
