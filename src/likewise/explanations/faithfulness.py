"""Whether a map is true to the encoder: what hiding parts in its order does, beside a random order.

Deletion and insertion (RISE, arXiv:1806.07421): the similarity falls fast when the parts that count most are hidden
first, and rises fast when they are shown first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from likewise.explanations.sample import ExplainedSample, as_list
from likewise.seeding import generator_for

STEPS = 16
ORDERS = 8  # at random


class HidingCurves(NamedTuple):
    """Similarities while more and more parts are hidden, or shown."""

    shares: Float64[Tensor, " steps"]
    """Of the parts that are hidden (deletion), or shown (insertion)."""
    deletion: Float64[Tensor, " steps"]
    insertion: Float64[Tensor, " steps"]
    random_deletion: Float64[Tensor, " steps"]
    """The mean over random orders."""
    random_insertion: Float64[Tensor, " steps"]

    @property
    def areas(self) -> dict[str, float]:
        """Under each curve: a true map has a small one of deletion and a large one of insertion."""
        curves = {name: getattr(self, name) for name in self._fields if name != "shares"}
        return {name: float(torch.trapezoid(curve, self.shares)) for name, curve in curves.items()}

    @property
    def gain(self) -> float:
        """By how much both areas are better than those of random orders, on average."""
        areas = self.areas
        deleted = areas["random_deletion"] - areas["deletion"]
        return (deleted + areas["insertion"] - areas["random_insertion"]) / 2

    def to_json(self) -> dict[str, Any]:
        curves = {name: as_list(getattr(self, name)) for name in self._fields}
        return {**curves, "areas": self.areas, "gain": self.gain}


def hiding_curves(
    sample: ExplainedSample, target: Float64[Tensor, " dim"], values: Float64[Tensor, " parts"], *, seed: int
) -> HidingCurves:
    """What hiding and showing the parts of a sample, the largest values first, does to its similarity to `target`."""
    parts = len(values)
    counts = torch.linspace(0, parts, min(STEPS, parts) + 1).round().long()
    orders = [values.argsort(descending=True, stable=True)]
    orders += [torch.randperm(parts, generator=generator_for(seed, place)) for place in range(ORDERS)]
    hidden = torch.cat([_first(order, counts) for order in orders])
    similarities = torch.cat([sample.without(some) @ target for some in (hidden, ~hidden)])
    deleted, inserted = similarities.view(2, len(orders), len(counts))
    return HidingCurves(counts.double() / parts, deleted[0], inserted[0], deleted[1:].mean(0), inserted[1:].mean(0))


def _first(order: Int[Tensor, " parts"], counts: Int[Tensor, " steps"]) -> Bool[Tensor, "steps parts"]:
    """For each count, the parts that come first."""
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    return places < counts[:, None]
