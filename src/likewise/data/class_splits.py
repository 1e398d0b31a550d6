"""Splits by class: `photos:base` to learn from, and `photos:novel` with the classes that are never learned from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from likewise.data.dispatch import open_whole
from likewise.data.read_options import ReadOptions
from likewise.data.resolve import resolve
from likewise.data.source import Source, Subset
from likewise.data.splits import has_split
from likewise.errors import UserError

BASE, NOVEL = CLASS_SPLITS = ("base", "novel")
NOVEL_SHARE = 0.5
"""Of the classes: few data sets have so many that a fifth of them is enough for episodes."""


class ClassPart(Subset):
    """The samples of some classes of a source, which has no others then.

    Args:
        source: labelled samples.
        chosen: the numbers of the classes in `source`, in their order there.
        name: of the part.
    """

    def __init__(self, source: Source, chosen: Sequence[int], *, name: str) -> None:
        number = torch.full((len(source.classes) + 1,), -1)  # the last one is of samples without a label, -1
        number[list(chosen)] = torch.arange(len(chosen))
        labels = number[source.labels()]
        super().__init__(source, (labels >= 0).nonzero()[:, 0], name=name)
        self.chosen = list(chosen)
        self.classes = [source.classes[each] for each in chosen]
        self._labels = labels[self.indices]

    def labels(self) -> Int[Tensor, " len"]:
        return self._labels

    def fitted(self, read_options: ReadOptions) -> ClassPart:
        return ClassPart(self.source.fitted(read_options), self.chosen, name=self.name)


def class_split(data: Any, read_options: ReadOptions, *, root: Any, progress: bool) -> ClassPart | None:
    """`photos:base` or `photos:novel` of data that has no split of that name: see `by_class`. None for anything else.

    Raises:
        UserError: for data without labels of two classes.
    """
    found, split = resolve(data)
    if split not in CLASS_SPLITS or has_split(found, split):
        return None
    return by_class(open_whole(found, read_options, root=root, progress=progress))[CLASS_SPLITS.index(split)]


def by_class(source: Source) -> tuple[ClassPart, ClassPart]:
    """Split a source into (base, novel): half of the classes, rounded down, are novel, the others base.

    Which they are follows from a hash of their names: the number and order of the samples do not matter, and a class
    more or less moves at most one other. A sample without a label could be of any class and is in neither part.

    Raises:
        UserError: where there are no labels, or fewer than two classes.
    """
    labels = source.labels()
    classes = [label for label in labels.unique().tolist() if label >= 0]
    if len(classes) < 2:
        raise UserError(
            f"{source.name} must have two classes or more to be split by class, got {len(classes)}: "
            f"the parts {BASE} and {NOVEL} have different classes"
        )
    mixed = sorted(classes, key=lambda label: hashlib.sha256(source.classes[label].encode()).digest())
    novel = set(mixed[: int(NOVEL_SHARE * len(classes))])
    parts = (
        ClassPart(source, [label for label in classes if label not in novel], name=f"{source.name}:{BASE}"),
        ClassPart(source, [label for label in classes if label in novel], name=f"{source.name}:{NOVEL}"),
    )
    if unlabelled := int((labels < 0).sum()):
        for part in parts:
            part.notes = [*source.notes, f"{unlabelled:,} samples without a label are in no part of a split by class"]
    return parts
