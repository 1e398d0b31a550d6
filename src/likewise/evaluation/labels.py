"""Draws of labels: stratified, nested, and a pure function of the seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.checks import check_int
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.inputs import LabelCount

USUAL_COUNTS = (1, 10, 100)
MOST_SEEDS = 10_000


def shared_labels(train: Source, test: Source) -> tuple[list[str], Int[Tensor, " train"], Int[Tensor, " test"]]:
    """The classes that `train` has samples of, and both splits' labels as positions in that list.

    Classes are matched by name, so the two sources may number them differently. A sample without a label has -1.

    Raises:
        UserError: when a split is empty or unlabelled, when all training labels are of one class, or when `train` has
            no sample of a test sample's class.
    """
    for role, source in (("train", train), ("test", test)):
        if not len(source) or not bool((source.labels() >= 0).any()):
            raise UserError(f"{role} must have at least one labelled sample, got none in {source.name}")
    train_labels, test_labels = train.labels(), test.labels()
    classes = [train.classes[label] for label in train_labels.unique().tolist() if label >= 0]
    if len(classes) < 2:
        raise UserError(f"train must have at least two classes, got one class ('{classes[0]}') in {train.name}")
    unknown = sorted({test.classes[label] for label in test_labels.unique().tolist() if label >= 0} - set(classes))
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(
            f"test must have no classes but those of train, got '{unknown[0]}'{more} in {test.name}: "
            f"{train.name} has samples of {', '.join(classes[:10])}{', …' if len(classes) > 10 else ''}"
        )
    number = {name: position for position, name in enumerate(classes)}

    def renumbered(source: Source, labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        return torch.tensor([*(number.get(name, -1) for name in source.classes), -1])[labels]

    return classes, renumbered(train, train_labels), renumbered(test, test_labels)


def check_label_counts(counts: list[LabelCount], labels: Int[Tensor, " train"], classes: list[str], name: str) -> None:
    """Check `labels_per_class`.

    Args:
        name: of the training source, for the message.

    Raises:
        UserError: unless some class has each number of labels. A class that has fewer gives what it has: `label_notes`.
    """
    if not counts:
        raise UserError("labels_per_class must be whole numbers of at least 1, or 'all', got none")
    sizes = torch.bincount(labels[labels >= 0], minlength=len(classes))
    most = int(sizes.argmax())
    for count in counts:
        if count == "all":
            continue
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(f"labels_per_class must be whole numbers of at least 1, or 'all', got {count!r}")
        if count > int(sizes[most]):
            raise UserError(
                f"labels_per_class must be at most {int(sizes[most])}, or 'all', got {count}: "
                f"class '{classes[most]}' of {name} has only {int(sizes[most])}"
            )


def label_notes(
    counts: Sequence[LabelCount], train: tuple[str, Tensor], test: tuple[str, Tensor], classes: list[str]
) -> list[str]:
    """What people should know of the labels: how many samples have none, and which classes have fewer than asked for.

    Args:
        train, test: the name of each source, and its labels as `shared_labels` gives them.
    """
    notes = []
    for name, labels in (train, test):
        known = int((labels >= 0).sum())
        if known < len(labels):
            notes.append(f"labels of {name}: {known:,} of {len(labels):,} samples; the others are left out.")
    labels = train[1]
    sizes = torch.bincount(labels[labels >= 0], minlength=len(classes))
    asked = max((count for count in counts if count != "all"), default=0)
    few = [f"{classes[i]} {int(sizes[i]):,}" for i in sizes.argsort(stable=True).tolist() if sizes[i] < asked]
    if few:
        listed = ", ".join(few[:10]) + (f" and {len(few) - 10:,} more" if len(few) > 10 else "")
        notes.append(f"classes of {train[0]} with fewer than {asked:,} labels give what they have: {listed}.")
    return notes


def label_counts(
    train: Source, test: Source, counts: Sequence[LabelCount] | None, *, seeds: int
) -> Sequence[LabelCount]:
    """The numbers of labels per class to evaluate with, checked: without `counts`, the usual ones, and all.

    Raises:
        UserError: for sources that cannot be evaluated on, more labels than there are, or no seed.
    """
    check_int(seeds=seeds)
    check_int(1, MOST_SEEDS, seeds=seeds)
    classes, labels, _ = shared_labels(train, test)
    if counts is None:
        fewest = int(labels[labels >= 0].bincount(minlength=len(classes)).min())
        counts = [*(count for count in USUAL_COUNTS if count <= fewest), "all"]
    check_label_counts(list(counts), labels, classes, train.name)
    return counts


def draw_labels(labels: Int[Tensor, " train"], per_class: LabelCount, seed: int) -> Int[Tensor, " n"]:
    """Indices of `per_class` samples of every class, drawn at random without replacement; all of a smaller class.

    The same seed gives nested draws: the indices for k labels per class are the first of those for any more.
    The indices alternate between the classes (one of each, then a second of each, …), so every prefix is stratified.
    """
    shuffled = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    shuffled = shuffled[labels[shuffled] >= 0]
    shuffled_labels = labels[shuffled]
    rank = rank_in_class(shuffled_labels)
    order = np.lexsort((shuffled_labels, rank))
    return shuffled[order if per_class == "all" else order[rank[order] < per_class]]


def rank_in_class(labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """How many earlier entries have the same label: the basis of stratified draws and folds."""
    by_class = labels.argsort(stable=True)
    sizes = torch.bincount(labels)
    first = sizes.cumsum(0) - sizes
    ranks = torch.empty_like(labels)
    ranks[by_class] = torch.arange(len(labels)) - first[labels[by_class]]
    return ranks
