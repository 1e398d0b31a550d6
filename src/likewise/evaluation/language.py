"""Perplexity of the next token: a language model beside unigrams and bigrams."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array
from torch import Tensor
from torch.nn import functional as F

from likewise.runs.table import Table

MAX_LOGITS = 2**22
"""Logits in memory at once: 16 MiB of float32."""

DEFAULT_DISCOUNT = 0.5
"""The discount of counts among which none is 1."""

LanguageModel = Callable[[Int[Tensor, "n t"]], Float[Tensor, " targets"]]
"""ids -> natural logarithms of the probabilities of the target tokens, document by document: all but the first of each
and the padding."""


def targets(ids: Int[Tensor, "n t"], pad: int) -> Bool[Tensor, "n s"]:
    """Which tokens are predicted, without the first column: all but the padding, which comes last."""
    return ids[:, 1:] != pad


def causal_model(encoder: Any, pad: int) -> LanguageModel:
    """A causal text encoder as a language model: its input embedding gives the logits of the next token.

    Args:
        encoder: `states(ids) -> (n, t, width)`, where position i depends on the tokens up to i, and `embedding`, on
            any device, in evaluation mode.
    """

    def model(ids: Int[Tensor, "n t"]) -> Float[Tensor, " targets"]:
        ids = ids.to(encoder.embedding.weight.device)
        known = targets(ids, pad)
        states, following = encoder.states(ids)[:, :-1][known], ids[:, 1:][known]
        step = max(1, MAX_LOGITS // len(encoder.embedding.weight))
        return torch.cat(
            [
                -F.cross_entropy((some @ encoder.embedding.weight.T).float(), true, reduction="none").cpu()
                for some, true in zip(states.split(step), following.split(step), strict=True)
            ]
        )

    return model


def count(batches: Iterable[Int[Tensor, "_ _"]], vocab_size: int, pad: int) -> csr_array:
    """How often each token (column) followed each (row), int64 (vocab_size, vocab_size)."""
    total = csr_array((vocab_size, vocab_size), dtype=np.int64)
    for ids in batches:
        known = targets(ids, pad)
        steps = (ids[:, :-1][known].numpy(), ids[:, 1:][known].numpy())
        total += coo_array((np.ones(len(steps[0]), np.int64), steps), shape=total.shape).tocsr()
    return total


def discount(counts: Int[np.ndarray, " n"]) -> float:
    """What absolute discounting subtracts from every count: n₁ / (n₁ + 2 n₂), nᵢ the number of counts equal to i."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once else DEFAULT_DISCOUNT


def discounted(counts: Int[np.ndarray, " tokens"]) -> Float[np.ndarray, " tokens"]:
    """Probabilities by absolute discounting: what is subtracted from the counts is shared equally by all tokens."""
    taken = discount(counts)
    everything = np.count_nonzero(counts) * taken / len(counts)
    return ((counts - taken).clip(0) + everything) / counts.sum()


class Unigram:
    """Each token by its frequency, with absolute discounting.

    Args:
        counts: of `count`, of at least one token.
    """

    def __init__(self, counts: csr_array, pad: int) -> None:
        self.pad = pad
        self.probabilities = discounted(counts.sum(0))

    def __call__(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, " targets"]:
        return torch.from_numpy(np.log(self.probabilities[ids[:, 1:][targets(ids, self.pad)].numpy()]))


class Bigram:
    """Each token given the one before, with interpolated Kneser-Ney smoothing.

    With c(v, w) the number of times that w followed v, D the `discount` of these, and N(v, ·) and N(·, w) the numbers
    of distinct tokens after v and before w: P(w | v) = (max(c(v, w) - D, 0) + D N(v, ·) P(w)) / c(v, ·), where P(w)
    are the `discounted` N(·, w); P(w) alone after a token that nothing followed. Kneser and Ney 1995, Improved
    Backing-off for M-gram Language Modeling; interpolated as in Chen and Goodman 1998, TR-10-98.

    Args:
        counts: of `count`, of at least one token.
    """

    def __init__(self, counts: csr_array, pad: int) -> None:
        self.pad = pad
        self.vocab_size = counts.shape[0]
        counts.sort_indices()
        self.data = counts.data
        self.discount = discount(counts.data)
        self.after = counts.sum(1)
        self.kinds_after = np.diff(counts.indptr)
        self.keys = np.repeat(np.arange(self.vocab_size), self.kinds_after) * self.vocab_size + counts.indices
        self.lower = discounted(np.bincount(counts.indices, minlength=counts.shape[1]))

    def probability(self, before: Int[np.ndarray, " n"], token: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """P(token | before)."""
        key, seen = before * self.vocab_size + token, self.after[before]
        place = np.searchsorted(self.keys, key).clip(max=len(self.keys) - 1)
        times = np.where(self.keys[place] == key, self.data[place], 0)
        own = (times - self.discount).clip(0)
        shared = np.where(seen > 0, self.discount * self.kinds_after[before], 1) * self.lower[token]
        return (own + shared) / seen.clip(1)

    def __call__(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, " targets"]:
        known = targets(ids, self.pad)
        return torch.from_numpy(np.log(self.probability(ids[:, :-1][known].numpy(), ids[:, 1:][known].numpy())))


class SummedLoss(NamedTuple):
    """The summed cross-entropy of a language model on some documents."""

    tokens: int
    nats: float

    @property
    def perplexity(self) -> float:
        """exp of the mean over tokens; the vocabulary's size for a uniform model."""
        return float(torch.tensor(self.nats / self.tokens, dtype=torch.float64).exp())


def summed_losses(models: Mapping[str, LanguageModel], batches: Iterable[Int[Tensor, "_ _"]]) -> dict[str, SummedLoss]:
    """The loss of every model on all documents, which are read once."""
    found = dict.fromkeys(models, SummedLoss(0, 0.0))
    for ids in batches:
        for name, model in models.items():
            with torch.inference_mode():
                logarithms = model(ids).double()
            tokens, nats = found[name]
            found[name] = SummedLoss(tokens + len(logarithms), nats - float(logarithms.sum()))
    return found


def language_table(
    models: Mapping[str, LanguageModel],
    batches: Iterable[Int[Tensor, "_ _"]],
    *,
    vocab_size: int,
    characters: int | None = None,
) -> Table:
    """Perplexity of the models on held-out documents, beside the uniform model.

    Args:
        batches: token ids, padded, with at least one target token.
        characters: number of characters of the documents; with it a column has bits per character, which is comparable
            between tokenizers.
    """
    found = summed_losses(models, batches)
    tokens = next(iter(found.values())).tokens
    found["uniform"] = SummedLoss(tokens, tokens * math.log(vocab_size))
    rows: list[list[str | float | None]] = []
    for name, loss in found.items():
        bits = [] if characters is None else [loss.nats / math.log(2) / characters]
        rows.append([name, *(figure if math.isfinite(figure) else None for figure in (loss.perplexity, *bits))])
    head = ["model", "perplexity"] if characters is None else ["model", "perplexity", "bits per character"]
    return Table(
        title="next-token prediction",
        caption=f"perplexity on {tokens:,} held-out tokens, with a vocabulary of {vocab_size:,}",
        head=head,
        units=["" for _ in head],
        rows=rows,
    )
