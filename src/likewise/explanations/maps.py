"""How much each part of a sample counts for its similarity to something.

The similarity is the cosine of two embeddings. `places` divides it exactly, where an embedding is the mean of the
features of its places: the cosine is then the sum over places of the product of what each adds to the embedding and the
other embedding. `gradients` takes any encoder that has some, and adds them up on the way from nothing to the sample.
`occlusion` takes any encoder: a part counts as much as the cosine falls when it is hidden.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from likewise.explanations.faithfulness import HidingCurves, hiding_curves
from likewise.explanations.gradients import integrated_gradients
from likewise.explanations.sample import ExplainedSample, as_list, hidden_alone

WAYS = {"places": "exact, by places", "gradients": "by gradients", "occlusion": "by occlusion"}


class PartMap(NamedTuple):
    """How much each part counts."""

    by: str
    """One of `WAYS`."""
    shape: tuple[int, ...]
    names: list[str] | None
    values: Float64[Tensor, " parts"]
    """By `places` they sum to the similarity; by `gradients`, to it less that of the sample with all parts hidden."""
    curves: HidingCurves
    """What happens when parts are hidden in the order of the map."""
    untrained: float | None = None
    """Rank correlation with the map of the same encoder with random weights; None where that can't be built."""
    cascade: list[float] | None = None
    """Rank correlations with the map while no stage of the encoder is untrained, the last one, the last two, … all."""

    def to_json(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "shape": list(self.shape),
            "names": self.names,
            "values": as_list(self.values),
            "curves": self.curves.to_json(),
            "correlation_with_untrained": self.untrained,
            "cascade": self.cascade,
        }


class PartMatches(NamedTuple):
    """Which parts of one sample match which parts of another."""

    by: str
    """One of `WAYS`. By `places` the values sum to the similarity; by `occlusion`, a value is how much of it only
    the two parts together make up."""
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    names: tuple[list[str] | None, list[str] | None]
    values: Float64[Tensor, "parts others"]

    def to_json(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "shapes": [list(shape) for shape in self.shapes],
            "names": list(self.names),
            "values": as_list(self.values),
        }


def raw_map(sample: ExplainedSample, target: Float64[Tensor, " dim"], by: str) -> Float64[Tensor, " parts"] | None:
    """How much each part, or place, counts; None where the way does not apply.

    Args:
        sample: of which the parts are.
        target: an embedding of length 1 in the same space: another sample's, or the sample's own.
        by: one of `WAYS`.
    """
    if by == "places":
        places = sample.places()
        return None if places is None else places.shares @ target
    if by == "gradients":
        return integrated_gradients(sample, target)
    return sample.embedding() @ target - sample.without(hidden_alone(len(sample.parts))) @ target


def part_maps(sample: ExplainedSample, target: Float64[Tensor, " dim"], ways: list[str], *, seed: int) -> list[PartMap]:
    """A map for each way that applies."""
    found = []
    places = sample.places() if "places" in ways else None
    for by in ways:
        values = raw_map(sample, target, by)
        if values is None:
            continue
        shape, names, on_parts = sample.parts.shape, sample.parts.names, values
        if by == "places" and places is not None:
            shape, names = places.shape, places.names
            on_parts = sample.parts.from_places(places.over_the_view(values), shape)
        found.append(PartMap(by, shape, names, values, hiding_curves(sample, target, on_parts, seed=seed)))
    return found


def part_matches(first: ExplainedSample, second: ExplainedSample, by: str) -> PartMatches | None:
    """Which parts match; None by `gradients`, and by `places` where one of the embeddings is no mean of them.

    By occlusion, hiding part i of one and part j of the other changes the similarity by more, or less, than the sum of
    what either does. This difference is the product of how far each moves its embedding (of length 1).
    """
    if by == "places":
        one, other = first.places(), second.places()
        if one is None or other is None:
            return None
        return PartMatches(by, (one.shape, other.shape), (one.names, other.names), one.shares @ other.shares.T)
    if by == "gradients":
        return None
    moved = [sample.embedding() - sample.without(hidden_alone(len(sample.parts))) for sample in (first, second)]
    shapes, names = (first.parts.shape, second.parts.shape), (first.parts.names, second.parts.names)
    return PartMatches(by, shapes, names, moved[0] @ moved[1].T)


def rank_correlation(first: Float64[Tensor, " parts"], second: Float64[Tensor, " parts"]) -> float:
    """Spearman's, of two maps of the same parts, with their signs (arXiv:1810.03292); 0 of a constant map."""
    ranks = torch.stack([_ranks(values) for values in (first, second)])
    centred = ranks - ranks.mean(1, keepdim=True)
    lengths = centred.norm(dim=1)
    return float(centred[0] @ centred[1] / lengths.prod()) if bool((lengths > 0).all()) else 0.0


def _ranks(values: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """Places in ascending order; equal values share their mean place."""
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[inverse]
