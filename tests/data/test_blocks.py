"""Long documents: in blocks all of their tokens are read, each once; what is cut is counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from likewise.data.blocks import BlockSource, TokenCount, cut_notes, in_blocks, token_count
from likewise.data.open import open_source
from likewise.data.pairs import PairSource
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source, Subset

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, CLS, SEP = 0, 2, 3
NUMBERS = 300


@pytest.fixture(scope="module")
def tokenizer() -> str:
    """A word is a token: "7" is 5 + 7."""
    words = [*SPECIAL, *map(str, range(NUMBERS))]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made.to_str()


def documents(*lengths: int) -> list[str]:
    """Documents of so many tokens, of which no two that follow each other are alike."""
    return [" ".join(str((37 * d + place) % NUMBERS) for place in range(length)) for d, length in enumerate(lengths)]


def fitted(texts: list[str], tokenizer: str, max_tokens: int = 10) -> Source:
    return open_source(texts, progress=False).fitted(ReadOptions(tokenizer=tokenizer, max_tokens=max_tokens))


def rows(source: Source, indices: list[int] | None = None) -> list[list[int]]:
    """What is read, without padding."""
    asked = torch.arange(len(source)) if indices is None else torch.tensor(indices)
    return [[i for i in row if i != PAD] for row in source.read(asked).tolist()]


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=6), max_tokens=st.integers(4, 20))
def test_blocks_are_all_tokens_of_each_document_and_of_no_other(
    lengths: list[int], max_tokens: int, tokenizer: str
) -> None:
    texts = documents(*lengths)
    source = in_blocks(fitted(texts, tokenizer, max_tokens))
    remaining = rows(source)
    assert [len(row) for row in remaining] == source.lengths.tolist()  # type: ignore[union-attr]
    for text in texts:
        whole = [5 + int(word) for word in text.split()] + [SEP]
        blocks = -(-len(whole) // (max_tokens - 1))
        own, remaining = remaining[:blocks], remaining[blocks:]
        assert all(row[0] == CLS and 2 <= len(row) <= max_tokens for row in own)
        assert [i for row in own for i in row[1:]] == whole
        assert max(map(len, own)) - min(map(len, own)) <= 1
    assert remaining == []


def test_a_document_that_is_short_enough_is_the_sample_that_it_was(tokenizer: str) -> None:
    short = fitted(documents(3, 8, 1), tokenizer)
    assert in_blocks(short) is short
    part = Subset(short, torch.tensor([2, 0]))
    assert in_blocks(part) is part
    mixed = fitted(documents(3, 30, 8), tokenizer)
    blocks = in_blocks(mixed)
    assert len(blocks) == 6
    assert (rows(blocks)[0], rows(blocks)[-1]) == (rows(mixed)[0], rows(mixed)[2])


def test_ids_name_the_document_and_the_block(tokenizer: str) -> None:
    blocks = in_blocks(fitted(documents(3, 30, 8), tokenizer))
    assert list(blocks.ids) == ["0", "1#0", "1#1", "1#2", "1#3", "2"]


def test_a_subset_of_documents_has_the_blocks_of_these(tokenizer: str) -> None:
    source = fitted(documents(3, 30, 8, 14), tokenizer)
    part = Subset(Subset(source, torch.tensor([3, 1, 0])), torch.tensor([1, 0]), name="part")
    blocks = in_blocks(part)
    assert blocks.name == "part"
    assert list(blocks.ids) == ["1#0", "1#1", "1#2", "1#3", "3#0", "3#1"]
    everything = in_blocks(source)
    assert rows(blocks) == rows(everything, [1, 2, 3, 4, 6, 7])
    assert rows(blocks, [4, 0, 4]) == rows(everything, [6, 1, 6])
    assert token_count(blocks) == TokenCount(2, 48, 48, 0, 6, 10)


def test_blocks_are_fitted_anew(tokenizer: str) -> None:
    blocks = in_blocks(fitted(documents(30), tokenizer))
    assert blocks.fitted(ReadOptions(tokenizer=tokenizer, max_tokens=10)) is blocks
    assert len(blocks.fitted(ReadOptions(tokenizer=tokenizer, max_tokens=18))) == 2


def test_tokens_stay_mapped(tokenizer: str) -> None:
    blocks = in_blocks(fitted(documents(30, 20), tokenizer))
    assert isinstance(blocks, BlockSource)
    assert isinstance(blocks.tokens.ids, np.memmap)
    assert isinstance(blocks.tokens.offsets, np.memmap)


def test_other_samples_stay_what_they_are() -> None:
    texts = open_source(["one two", "three"], progress=False)
    assert in_blocks(texts) is texts  # without a tokenizer there are no tokens
    assert token_count(texts) is None


def test_what_is_cut_is_counted(tokenizer: str) -> None:
    source = fitted(documents(3, 30, 8, 14), tokenizer)
    assert token_count(source) == TokenCount(4, 63, 35, 2, None, 10)
    assert cut_notes(source) == [
        "texts: 2 of 4 documents are cut after 10 tokens: 35 of 63 tokens are used (55.6%)",
    ]
    assert token_count(Subset(source, torch.tensor([1, 0]))) == TokenCount(2, 37, 15, 1, None, 10)
    assert cut_notes(Subset(source, torch.tensor([0, 2]))) == []
    pairs = PairSource([source, fitted(documents(1, 1, 1, 9), tokenizer)], ["text", "text"])
    assert token_count(pairs) == TokenCount(8, 63 + 20, 35 + 19, 3, None, 10)


def test_documents_are_tokenised_once_for_all_lengths(tokenizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = documents(3, 30)
    first = rows(fitted(texts, tokenizer, 10))
    monkeypatch.setattr("likewise.data.tokens._encode", lambda *_: pytest.fail("tokenised again"))
    assert [len(row) for row in rows(fitted(texts, tokenizer, 20))] == [5, 20]
    assert len(in_blocks(fitted(texts, tokenizer, 20))) == 3
    assert rows(fitted(texts, tokenizer, 10)) == first
