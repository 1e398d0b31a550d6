from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from likewise.evaluation import language
from likewise.evaluation.language import Bigram, Unigram, causal_model, count, discount, language_table, summed_losses

PAD, FIRST, LAST = 0, 1, 2


def padded(documents: list[list[int]]) -> Tensor:
    rows = [torch.tensor([FIRST, *document, LAST]) for document in documents]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def pairs(documents: list[list[int]]) -> list[tuple[int, int]]:
    return [pair for document in documents for pair in zip([FIRST, *document], [*document, LAST], strict=True)]


class Naive(NamedTuple):
    """Kneser-Ney's formulas with dictionaries, one token at a time."""

    seen: list[tuple[int, int]]
    vocab_size: int

    @staticmethod
    def discount(counts: Counter) -> float:
        once, twice = (sum(c == i for c in counts.values()) for i in (1, 2))
        return once / (once + 2 * twice) if once else 0.5

    def absolute(self, counts: Counter, token: int) -> float:
        taken, total = self.discount(counts), sum(counts.values())
        return max(counts[token] - taken, 0) / total + taken * len(counts) / total / self.vocab_size

    def unigram(self, token: int) -> float:
        return self.absolute(Counter(after for _, after in self.seen), token)

    def bigram(self, before: int, token: int) -> float:
        counts = Counter(self.seen)
        lower = self.absolute(Counter(after for _, after in counts), token)
        times, kinds = sum(a == before for a, _ in self.seen), sum(a == before for a, _ in counts)
        if not times:
            return lower
        taken = self.discount(counts)
        return max(counts[before, token] - taken, 0) / times + taken * kinds / times * lower


documents = st.lists(st.lists(st.integers(3, 7), max_size=6), min_size=1, max_size=5)


@given(documents, documents)
@settings(max_examples=60, deadline=None)
def test_counting_models_are_the_formulas(train: list[list[int]], test: list[list[int]]) -> None:
    counts = count([padded(train[:2]), padded(train[2:])] if train[2:] else [padded(train)], 9, PAD)
    naive, ids = Naive(pairs(train), 9), padded(test)
    expected = [math.log(naive.unigram(token)) for _, token in pairs(test)]
    assert Unigram(counts, PAD)(ids).tolist() == pytest.approx(expected, abs=1e-12)
    expected = [math.log(naive.bigram(*pair)) for pair in pairs(test)]
    assert Bigram(counts, PAD)(ids).tolist() == pytest.approx(expected, abs=1e-12)


@given(documents)
@settings(max_examples=60, deadline=None)
def test_probabilities_of_all_tokens_sum_to_one(train: list[list[int]]) -> None:
    counts = count([padded(train)], 9, PAD)
    assert Unigram(counts, PAD).probabilities.sum() == pytest.approx(1, abs=1e-12)
    before, token = (grid.ravel() for grid in np.meshgrid(np.arange(9), np.arange(9), indexing="ij"))
    probabilities = Bigram(counts, PAD).probability(before, token).reshape(9, 9)
    assert (probabilities > 0).all()
    assert probabilities.sum(1) == pytest.approx(np.ones(9), abs=1e-12)


def test_counts_are_of_neighbours_and_not_of_padding() -> None:
    train = [[3, 4, 3, 4], [5], []]
    counts = count([padded(train), padded([[4, 3]])], 9, PAD)
    expected = Counter(pairs([*train, [4, 3]]))
    assert {(int(a), int(b)): int(counts[a, b]) for a, b in zip(*counts.nonzero(), strict=True)} == expected
    assert counts.dtype == np.int64


@pytest.mark.parametrize(
    ("counts", "expected"), [([1, 1, 2, 5], 0.5), ([1, 1, 1, 2, 2, 0], 3 / 7), ([1, 3], 1.0), ([2, 2, 3], 0.5)]
)
def test_discount_is_that_of_ney(counts: list[int], expected: float) -> None:
    assert discount(np.array(counts)) == expected


class Causal(nn.Module):
    """Position i holds the mean of the embeddings up to i."""

    causal = True

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)

    def features(self, ids: Tensor) -> Tensor:
        summed = self.embedding(ids).cumsum(1)
        return summed / torch.arange(1, ids.shape[1] + 1)[:, None]


def naive_perplexity(encoder: Causal, documents: list[list[int]]) -> float:
    weights, losses = encoder.embedding.weight.detach().double(), []
    for document in documents:
        tokens = [FIRST, *document, LAST]
        for place in range(1, len(tokens)):
            logits = weights @ weights[tokens[:place]].mean(0)
            losses.append(-math.log(float(logits.exp()[tokens[place]] / logits.exp().sum())))
    return math.exp(sum(losses) / len(losses))


def test_perplexity_of_an_encoder_is_that_of_its_next_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder, documents = Causal(), [[3, 4, 5, 6, 7], [8], [], [7, 7, 3]]
    batches = [padded(documents[:3]), padded(documents[3:])]
    whole = summed_losses({"gpt": causal_model(encoder, PAD)}, batches)["gpt"]
    assert whole.tokens == sum(len(document) + 1 for document in documents)
    assert whole.perplexity == pytest.approx(naive_perplexity(encoder, documents), rel=1e-5)
    monkeypatch.setattr(language, "MAX_LOGITS", 20)
    in_pieces = summed_losses({"gpt": causal_model(encoder, PAD)}, batches)["gpt"]
    assert in_pieces == pytest.approx(whole, rel=1e-6)


def test_a_model_of_equal_logits_is_as_perplexed_as_there_are_tokens() -> None:
    encoder = Causal()
    nn.init.zeros_(encoder.embedding.weight)
    assert summed_losses({"gpt": causal_model(encoder, PAD)}, [padded([[3, 4]])])["gpt"].perplexity == pytest.approx(9)


def test_the_table_reads_documents_once_and_orders_models_by_what_they_know() -> None:
    generator = torch.Generator().manual_seed(0)
    # 3 is followed by 4 or 5, 4 and 5 by 3: a bigram foresees half of it, a unigram little.
    train = [[t for c in torch.randint(4, 6, (8,), generator=generator).tolist() for t in (3, c)] for _ in range(60)]
    test, counts = train[40:], count([padded(train[:40])], 9, PAD)
    models = {"bigram": Bigram(counts, PAD), "unigram": Unigram(counts, PAD)}
    table = language_table(models, iter([padded(test)]), vocab_size=9, characters=1000)
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["bigram", "unigram", "uniform"]
    assert rows["uniform"] == pytest.approx([9, 17 * 20 * math.log2(9) / 1000])
    assert 1.3 < rows["bigram"][0] < 1.7 < 2.8 < rows["unigram"][0] < 3.6
    assert rows["bigram"][1] == pytest.approx(17 * 20 * math.log2(rows["bigram"][0]) / 1000)
    assert table.head == ["model", "perplexity", "bits per character"]
    assert "340 held-out tokens" in table.caption
    assert len(table.units) == 3
    assert language_table(models, [padded(test)], vocab_size=9).head == ["model", "perplexity"]


def test_a_model_that_broke_has_no_figure() -> None:
    encoder = Causal()
    nn.init.constant_(encoder.embedding.weight, torch.nan)
    table = language_table({"gpt": causal_model(encoder, PAD)}, [padded([[3, 4]])], vocab_size=9)
    assert table.rows == [["gpt", None], ["uniform", pytest.approx(9)]]
    with torch.no_grad():
        encoder.embedding.weight.copy_(torch.eye(9, 4) * -1e4)
    table = language_table({"gpt": causal_model(encoder, PAD)}, [padded([[3, 3]])], vocab_size=9)
    assert table.rows[0] == ["gpt", None]
