"""Which labels a trial may see: stratified, nested, and a pure function of the seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.checks import check_whole
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.inputs import LabelCount

USUAL_COUNTS = (1, 10, 100)


def shared_labels(train: Source, test: Source) -> tuple[list[str], Int[Tensor, " train"], Int[Tensor, " test"]]:
    """The classes that `train` has samples of, and both splits' labels as positions in that list.

    Classes are matched by name, so the two sources may number them differently. Raises `UserError` when a
    split is empty or unlabelled, when all training labels are of one class, and when a test sample's class
    is unknown to `train`.
    """
    for role, source in (("train", train), ("test", test)):
        if not len(source):
            raise UserError(f"{role}: {source.name} holds no sample; give labelled samples")
    train_labels, test_labels = train.labels(), test.labels()
    classes = [train.classes[label] for label in train_labels.unique().tolist()]
    if len(classes) < 2:
        raise UserError(f"train: all labels of {train.name} are of one class ('{classes[0]}'); two or more are needed")
    unknown = sorted({test.classes[label] for label in test_labels.unique().tolist()} - set(classes))
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(
            f"test: {test.name} holds class '{unknown[0]}'{more} of which {train.name} has no sample; "
            f"its classes are {', '.join(classes[:10])}{', …' if len(classes) > 10 else ''}"
        )
    number = {name: position for position, name in enumerate(classes)}

    def renumbered(source: Source, labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        return torch.tensor([number.get(name, -1) for name in source.classes])[labels]

    return classes, renumbered(train, train_labels), renumbered(test, test_labels)


def check_label_counts(counts: list[LabelCount], labels: Int[Tensor, " train"], classes: list[str], name: str) -> None:
    """Raise `UserError` unless every class has each number of labels asked for."""
    if not counts:
        raise UserError("labels_per_class: got nothing; give whole numbers from 1, or 'all'")
    held = torch.bincount(labels, minlength=len(classes))
    fewest = int(held.argmin())
    for count in counts:
        if count == "all":
            continue
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(f"labels_per_class: got {count!r}; give whole numbers from 1, or 'all'")
        if count > held[fewest]:
            raise UserError(
                f"labels_per_class: got {count}, but class '{classes[fewest]}' of {name} has only "
                f"{int(held[fewest])}; ask for at most {int(held[fewest])}, or 'all'"
            )


def label_counts(
    train: Source, test: Source, counts: Sequence[LabelCount] | None, *, seeds: int
) -> Sequence[LabelCount]:
    """The numbers of labels per class to evaluate with, checked: without `counts`, the usual ones, and all.

    Raises:
        UserError: for sources that cannot be evaluated on, more labels than there are, or no seed.
    """
    check_whole(seeds=seeds)
    classes, labels, _ = shared_labels(train, test)
    if counts is None:
        fewest = int(labels.bincount(minlength=len(classes)).min())
        counts = [*(count for count in USUAL_COUNTS if count <= fewest), "all"]
    check_label_counts(list(counts), labels, classes, train.name)
    return counts


def draw_labels(labels: Int[Tensor, " train"], per_class: LabelCount, seed: int) -> Int[Tensor, " n"]:
    """Indices of `per_class` samples of every class, drawn at random without replacement.

    The same seed gives nested draws: the indices for k labels per class are the first of those for any more.
    The indices go round the classes (one of each, then a second of each, …), so every prefix is stratified.
    """
    shuffled = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    shuffled_labels = labels[shuffled]
    rank = rank_in_class(shuffled_labels)
    order = np.lexsort((shuffled_labels, rank))
    return shuffled[order if per_class == "all" else order[rank[order] < per_class]]


def rank_in_class(labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """How many earlier entries have the same label: the basis of stratified draws and folds."""
    by_class = labels.argsort(stable=True)
    held = torch.bincount(labels)
    first = held.cumsum(0) - held
    ranks = torch.empty_like(labels)
    ranks[by_class] = torch.arange(len(labels)) - first[labels[by_class]]
    return ranks
