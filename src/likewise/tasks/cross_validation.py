"""Cross-validation of a head: which regularisation, and what it answers for samples that it has not learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from likewise.tasks.linear_head import FEW_LABELS_VARIANCE, VARIANCES, Features, HeadTask, Targets, apply

FOLDS = 5
INNER_FOLDS = 3
NESTED = 2000
"""Up to so many samples, each fold chooses its own regularisation, without the samples that it is tested on."""
CHOSEN_BY = 3000
"""Samples, at most, that the regularisation is chosen by."""
ALWAYS = -1
"""The fold of samples that are always learned from: a class with one label cannot be tested."""

Progress = Callable[[int, int, str], None]
Folds = Int[np.ndarray, " n"]
"""The number of each sample's fold; `ALWAYS` for one that is never held out."""


class HeldOut(NamedTuple):
    """What a head answers for samples that it has not learned from."""

    places: Int[np.ndarray, " held"]
    """Of the samples."""
    scores: Float[np.ndarray, "held outputs"]
    folds: Int[np.ndarray, " held"]


def make_folds(
    count: int,
    seed: int,
    *,
    classes: Int[np.ndarray, " n"] | None = None,
    groups: Int[np.ndarray, " n"] | None = None,
    folds: int = FOLDS,
) -> Folds:
    """Folds of about equal size, as a function of the seed; of each class about the same share.

    Args:
        count: of samples.
        seed: of the order.
        classes: the class of each sample. A class with one group is in no fold.
        groups: pieces of one thing go to one fold together; each sample is one if not given.
        folds: how many.
    """
    groups = np.arange(count) if groups is None else groups
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    of_group = np.zeros(len(first), dtype=np.int64) if classes is None else classes[first]
    order = np.random.default_rng(seed).permutation(len(first))
    found = np.full(len(first), ALWAYS)
    dealt = 0
    for one in np.unique(of_group):
        its = order[of_group[order] == one]
        if len(its) > 1:
            found[its] = (dealt + np.arange(len(its))) % folds
            dealt += len(its)
    # Pieces of one thing may be of several classes: none of these may be missing where a head learns.
    if classes is not None:
        for one in np.unique(classes):
            its = (classes == one).nonzero()[0]
            if len(np.unique(found[member][its])) == 1:
                found[member[its]] = ALWAYS
    return found[member]


def choose_variance(
    task: HeadTask,
    features: Features,
    targets: Targets,
    seed: int,
    *,
    groups: Int[np.ndarray, " n"] | None = None,
    balanced: bool = False,
) -> float:
    """The prior variance of least held-out loss; ties go to the stronger regularisation.

    At most about `CHOSEN_BY` samples take part. Where none can be held out it is `FEW_LABELS_VARIANCE`.
    """
    kept = _some(task, targets, seed)
    features, targets = features[kept], targets[kept]
    folds = make_folds(
        len(targets),
        seed,
        classes=targets if task.stratified else None,
        groups=None if groups is None else groups[kept],
        folds=INNER_FOLDS,
    )
    splits = list(splits_of(folds))

    def held_out_loss(variance: float) -> float:
        total = 0.0
        for inside, outside in splits:
            weights = task.fit(features[inside], targets[inside], variance, balanced=balanced)
            total += float(task.losses(apply(weights, features[outside]), targets[outside]).sum())
        return total

    return min(VARIANCES, key=held_out_loss) if splits else FEW_LABELS_VARIANCE


def held_out_scores(
    task: HeadTask,
    features: Features,
    targets: Targets,
    seed: int,
    *,
    groups: Int[np.ndarray, " n"] | None = None,
    balanced: bool = False,
    variance: float,
    progress: Progress = lambda done, total, doing: None,
) -> HeldOut | None:
    """The scores of each sample by heads that have not learned from its fold; None where no sample can be held out.

    Args:
        variance: of the prior. Of at most `NESTED` samples, each fold chooses its own.
        progress: called with (done, total, what is being done).
    """
    classes = targets if task.stratified else None
    folds = make_folds(len(targets), seed, classes=classes, groups=groups)
    splits = list(splits_of(folds))
    if not splits:
        return None
    parts = []
    for place, (inside, outside) in enumerate(splits):
        progress(place, len(splits), "cross-validation")
        known, answers, theirs = features[inside], targets[inside], None if groups is None else groups[inside]
        if len(targets) <= NESTED:
            variance = choose_variance(task, known, answers, seed, groups=theirs, balanced=balanced)
        parts.append(apply(task.fit(known, answers, variance, balanced=balanced), features[outside]))
    places = np.concatenate([outside for _, outside in splits])
    return HeldOut(places, np.concatenate(parts), folds[places])


def splits_of(folds: Folds) -> Iterator[tuple[Int[np.ndarray, " inside"], Int[np.ndarray, " outside"]]]:
    """Of each fold: the places to learn from, and those to test on."""
    for fold in np.unique(folds[folds != ALWAYS]):
        if (folds != fold).any():
            yield (folds != fold).nonzero()[0], (folds == fold).nonzero()[0]


def _some(task: HeadTask, targets: Targets, seed: int) -> Int[np.ndarray, " kept"]:
    """Places of at most about `CHOSEN_BY` samples; of classes about as many each, and at least `INNER_FOLDS`."""
    order = np.random.default_rng(seed).permutation(len(targets))
    if len(targets) <= CHOSEN_BY:
        return np.arange(len(targets))
    if not task.stratified:
        return np.sort(order[:CHOSEN_BY])
    known = np.unique(targets)
    most = max(INNER_FOLDS, CHOSEN_BY // len(known))
    return np.sort(np.concatenate([order[targets[order] == one][:most] for one in known]))
