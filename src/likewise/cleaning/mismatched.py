"""Pairs whose halves do not fit: no more similar to each other than to any others."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from likewise.evaluation.similarity import cosines

OTHERS = 64
"""Other halves that each half is compared with."""
LEAST_PAIRS = 50
TELLS_APART = 2.0
"""Deviations by which the halves of half of all pairs must be more similar than others, or none is judged."""
FENCE = 3.0
"""Deviations, estimated by the median absolute one, below the median of all pairs."""
LEAST_PART = 1 / 3
"""Of the median, that the halves of a pair that fits are more similar than others."""


class Fit(NamedTuple):
    """How well the halves of pairs fit."""

    closer: Float[Tensor, " n"]
    """The share of other halves that a half is more similar to than to its own, of both halves the larger one."""
    mismatched: Bool[Tensor, " n"]
    tells_apart: bool
    """Whether the encoder tells halves that fit from others."""


def fit_of_pairs(first: Float[Tensor, "n dim"], second: Float[Tensor, "n dim"]) -> Fit:
    """How well halves fit by their embeddings in one joint space, both ways: the worse of these counts.

    It is how much more similar they are than a half and 64 others are, in standard deviations of these. A pair is
    mismatched if that is less than a third of what half of all pairs have, and outside of their spread.
    """
    own = cosines(first, second)
    steps = torch.linspace(1, len(first) - 1, min(OTHERS, len(first) - 1)).round().long().unique().tolist()
    scores, closer = [], []
    for one, other in ((first, second), (second, first)):
        others = torch.stack([cosines(one, other.roll(step, 0)) for step in steps], 1)
        scores.append((own - others.mean(1)) / others.std(1).clamp_min(1e-6))
        closer.append((others > own[:, None]).float().mean(1))
    score = torch.minimum(*scores)
    median = score.median()
    spread = 1.4826 * (score - median).abs().median()
    tells_apart = bool(median >= TELLS_APART)
    mismatched = score < torch.minimum(LEAST_PART * median, median - FENCE * spread)
    return Fit(torch.maximum(*closer), mismatched & tells_apart, tells_apart)
