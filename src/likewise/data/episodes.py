"""Episodes of few-shot classification: a few classes, and a few samples of each, anew for every episode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.errors import UserError


class Episodes(NamedTuple):
    """Indices of the samples of some episodes; no sample is twice in one of them."""

    classes: Int[Tensor, "episodes way"]
    """Places in the list of classes that were drawn from."""
    support: Int[Tensor, "episodes way shot"]
    """Samples that are learned from; with fewer shots, the first ones."""
    query: Int[Tensor, "episodes way query"]
    """Samples that are classified."""


def draw_episodes(
    members: Sequence[Int[Tensor, " _"]], numbers: Iterable[int], *, way: int, shot: int, query: int, seed: int
) -> Episodes:
    """Some episodes, each a pure function of the seed and its number.

    Classes, and samples of a class, are drawn without replacement, each equally likely.

    Args:
        members: of each class, the indices of its samples, at least `shot` + `query`.
        numbers: of the episodes, 0 or more.
        way: classes of an episode, at most as many as there are.
        shot, query: samples of each class to learn from, and to classify.
        seed: 0 or more.
    """
    classes, drawn = [], []
    for number in numbers:
        random = np.random.default_rng([seed, number])
        chosen = random.choice(len(members), way, replace=False).tolist()
        places = [random.choice(len(members[each]), shot + query, replace=False) for each in chosen]
        classes.append(chosen)
        drawn.append(torch.stack([members[each][place] for each, place in zip(chosen, places, strict=True)]))
    samples = torch.stack(drawn)
    return Episodes(torch.tensor(classes), samples[..., :shot], samples[..., shot:])


def members_of(
    labels: Int[Tensor, " n"], groups: Int[Tensor, " n"] | None, *, least: int
) -> tuple[list[int], list[Int[Tensor, " _"]]]:
    """The classes with at least `least` samples, and the samples of each; of a group only the first counts.

    Args:
        labels: -1 for a sample without one.
        groups: a number for each sample, the same for pieces of one thing, as `Source.groups` has it: support and query
            never share one.
    """
    usable = labels >= 0
    if groups is not None:
        _, first = np.unique(groups.numpy()[usable.numpy()], return_index=True)
        kept = torch.zeros_like(usable)
        kept[usable.nonzero()[:, 0][torch.from_numpy(first)]] = True
        usable = kept
    found = {label: ((labels == label) & usable).nonzero()[:, 0] for label in labels.unique().tolist() if label >= 0}
    large = {label: places for label, places in found.items() if len(places) >= least}
    return list(large), list(large.values())


def check_episodes(
    labels: Int[Tensor, " n"], groups: Int[Tensor, " n"] | None, *, way: int, shot: int, query: int, name: str
) -> None:
    """Raise `UserError` where no episode can be drawn, with what is possible.

    Args:
        name: of the source, for the message.
    """
    sizes = sorted((len(places) for places in members_of(labels, groups, least=1)[1]), reverse=True)
    if len(sizes) < way:
        raise UserError(f"way must be at most {len(sizes)}, the number of classes of {name}, got {way}")
    if sizes[way - 1] < shot + query:
        raise UserError(
            f"shot + query must be at most {sizes[way - 1]} for {way} classes of {name}, got {shot} + {query}: "
            "take fewer shots, a smaller --query or a smaller --way"
        )
