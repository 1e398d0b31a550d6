"""Probable label errors: labels that a classifier, trained on the other samples, is sure are wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.errors import UserError, needs
from likewise.evaluation.features import standardization
from likewise.evaluation.labels import rank_in_class
from likewise.evaluation.linear import apply, fit_linear

FOLDS = 5
LEAST_LABELS = 5
"""Of a class; those of smaller classes are not checked."""
VARIANCE = 3.0
"""The prior variance of a logit: what would predict best is surer, and names several times as many correct labels."""
LEAST_SURE = 0.75
"""Probability of the suggested class."""
MOST_LIKELY = 0.05
"""Probability of the class that the label says."""


class LabelErrors(NamedTuple):
    """Positions of samples whose labels are probably wrong, with the classes they are probably of."""

    positions: list[int]
    suggested: list[int]
    probabilities: list[tuple[float, float]]
    """Of the class that the label says, and of the suggested one."""
    small: list[int]
    """Classes that have too few labels to be checked."""


def label_errors(
    features: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], copies: Int[Tensor, " n"], *, name: str
) -> LabelErrors:
    """Found by confident learning (cleanlab, arXiv:1911.00068), of which only what the classifier is sure of is kept.

    The classifier is a logistic regression on the features. The probabilities of a sample come from one that was not
    trained on it, nor on its copies: a copy with the same wrong label would confirm it. Where classes overlap,
    confident learning alone names many samples that are only hard to tell apart.

    Args:
        labels: -1 for none.
        copies: a number for each sample, the same for copies: the position of one of them.
        name: of the data, for a message.

    Raises:
        UserError: for fewer than two classes with enough labels, or where cleanlab is not installed.
    """
    find_label_issues = needs("cleanlab.filter", "clean").find_label_issues
    sizes = torch.bincount(labels[labels >= 0], minlength=1)
    enough = (sizes >= LEAST_LABELS).nonzero()[:, 0]
    if len(enough) < 2:
        raise UserError(
            f"label errors need two classes with {LEAST_LABELS} labels or more, {name} has "
            f"{f'{len(enough)} class' if len(enough) else 'no class'} with so many: give more labels (--labels TABLE)"
        )
    number = torch.full((len(sizes) + 1,), -1)
    number[enough] = torch.arange(len(enough))
    checked = (number[labels] >= 0).nonzero()[:, 0]
    given = number[labels[checked]]
    known = features[checked]
    mean, scale = standardization(known)
    probabilities = _held_out((known - mean) / scale, given, copies[checked], len(enough))
    issues = find_label_issues(given.numpy(), probabilities.numpy(), n_jobs=1)
    of_label = probabilities.gather(1, given[:, None])[:, 0]
    best, suggested = probabilities.max(1)
    sure = torch.from_numpy(np.asarray(issues)) & (of_label < MOST_LIKELY) & (best > LEAST_SURE)
    found = sure.nonzero()[:, 0]
    return LabelErrors(
        checked[found].tolist(),
        enough[suggested[found]].tolist(),
        list(zip(of_label[found].tolist(), best[found].tolist(), strict=True)),
        ((sizes > 0) & (sizes < LEAST_LABELS)).nonzero()[:, 0].tolist(),
    )


def _held_out(
    features: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], copies: Int[Tensor, " n"], classes: int
) -> Float[Tensor, "n classes"]:
    """Probabilities of each sample from a classifier that was trained without it and its copies."""
    fold = rank_in_class(labels) % FOLDS
    _, groups = copies.unique(return_inverse=True)
    first = torch.full((int(groups.max()) + 1,), len(groups)).scatter_reduce_(
        0, groups, torch.arange(len(groups)), "amin"
    )
    fold = fold[first[groups]]
    found = torch.zeros(len(features), classes, dtype=torch.float64)
    for out in fold.unique().tolist():
        head = fit_linear(features[fold != out], labels[fold != out], classes, variance=VARIANCE)
        with torch.no_grad():
            found[fold == out] = apply(head, features[fold == out]).double().softmax(1)
    return found
