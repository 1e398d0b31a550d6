"""From labels as they are written to what a head is fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from likewise.checks import check_choice
from likewise.errors import UserError
from likewise.tasks.fitted_head import TASKS

SEPARATOR = ";"
"""Between several labels of one sample."""


class LabelTargets(NamedTuple):
    """What a head is fitted to."""

    task: str
    classes: list[str]
    """Empty of numbers."""
    targets: Any
    """`(n,)` numbers of classes, `(n, classes)` true or false, or `(n,)` numbers."""
    counts: list[int]
    """Labels of each class."""


def targets_of(words: Sequence[str], task: str | None, where: str, *, order: Sequence[str] = ()) -> LabelTargets:
    """What labels mean: one class each; several, as in `a;b`, if any has a `;`; numbers, if any is not whole.

    Args:
        words: the labels as they are written.
        task: classification, multilabel or regression, where that is known.
        where: the labels come from.
        order: of classes; those that are not in it follow in alphabetical order.

    Raises:
        UserError: for an unknown task, fewer than two classes, or labels that are no numbers where these are asked for.
    """
    check_choice(list(TASKS), task=task)
    if not words:
        raise UserError(f"labels must be given for at least one sample, got none in {where}")
    numbers = [_number(word) for word in words]
    if task is None:
        fractions = None not in numbers and any(number % 1 for number in numbers if number is not None)
        task = (
            "multilabel"
            if any(SEPARATOR in word for word in words)
            else "regression"
            if fractions
            else "classification"
        )
    if task == "regression":
        wrong = next((word for word, number in zip(words, numbers, strict=True) if number is None), None)
        if wrong is not None:
            raise UserError(f"labels must be numbers for regression, got {wrong!r} in {where}")
        values = np.array(numbers, dtype=np.float64)
        if len(np.unique(values)) < 2:
            raise UserError(f"labels must be of at least two numbers, got only {words[0]} in {where}")
        return LabelTargets(task, [], values, [])
    each = [labels_in(word) if task == "multilabel" else [word] for word in words]
    found = set().union(*each)
    known = [name for name in order if name in found]
    classes = [*known, *sorted(found.difference(known))]
    number_of = {name: i for i, name in enumerate(classes)}
    if len(classes) < 2 and task == "classification":
        raise UserError(f"labels must be of at least two classes, got one class ({classes[0]!r}) in {where}")
    if not classes:
        raise UserError(f"labels must be given for at least one sample, got none in {where}")
    if task == "classification":
        targets: Any = np.array([number_of[word] for word in words])
        return LabelTargets(task, classes, targets, np.bincount(targets, minlength=len(classes)).tolist())
    targets = np.zeros((len(words), len(classes)), dtype=bool)
    for row, names in enumerate(each):
        targets[row, [number_of[name] for name in names]] = True
    if targets.all() or len(words) < 2:
        raise UserError(f"labels must differ between samples, got {words[0]!r} for all in {where}")
    return LabelTargets(task, classes, targets, targets.sum(0).tolist())


def labels_in(word: str) -> list[str]:
    """The labels of a sample that are written in one word: `a;b`, and `;` for none of them."""
    return list(dict.fromkeys(name for part in word.split(SEPARATOR) if (name := part.strip())))


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
