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
TELLS_APART = 1 / 8
"""Of nine tenths of all pairs, the share of other halves that fit better must be at most this, or none is judged."""
MISMATCHED = 1 / 4
"""The share of other halves that fit better, from which a pair is mismatched."""


class Fit(NamedTuple):
    """How well the halves of pairs fit."""

    closer: Float[Tensor, " n"]
    """The share of other halves that a half is more similar to than to its own, of both halves the larger one."""
    mismatched: Bool[Tensor, " n"]
    tells_apart: bool
    """Whether the encoder tells halves that fit from others."""


def fit_of_pairs(first: Float[Tensor, "n dim"], second: Float[Tensor, "n dim"]) -> Fit:
    """How well halves fit by their embeddings in one joint space, both ways, among 64 other halves."""
    own = cosines(first, second)
    steps = torch.linspace(1, len(first) - 1, min(OTHERS, len(first) - 1)).round().long().unique().tolist()
    closer = torch.zeros(len(first))
    for one, other in ((first, second), (second, first)):
        others = torch.stack([cosines(one, other.roll(step, 0)) for step in steps], 1)
        closer = torch.maximum(closer, (others > own[:, None]).float().mean(1))
    tells_apart = bool(closer.quantile(0.9) <= TELLS_APART)
    return Fit(closer, (closer >= MISMATCHED) & tells_apart, tells_apart)
