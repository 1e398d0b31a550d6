"""How far the probabilities of a head can be trusted: temperature, calibration error, and when to abstain.

All of it is learned from scores of samples that the head has not learned from, and measured on folds that it was not
learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from likewise.tasks.linear_head import Targets

BINS = 15  # as in Guo et al. 2017, arXiv:1706.04599
PRIOR = 0.5
"""Deviation of the logarithm of the temperature before anything is known: a few right answers must not make it 0."""
LOWEST, HIGHEST = 0.05, 20.0
NORMAL = float(ndtri(0.975))

Losses = Callable[[Any, Any], Any]
"""(scores, targets) -> the loss of each sample: see `HeadTask.losses`."""


def fit_temperature(scores: Float[np.ndarray, "n outputs"], targets: Targets, losses: Losses) -> float:
    """What scores are divided by to become probabilities of least cross-entropy (Guo et al. 2017, arXiv:1706.04599).

    Its logarithm has a normal prior of mean 0 and deviation `PRIOR`.
    """

    def loss(logarithm: float) -> float:
        return float(losses(scores / exp(logarithm), targets).sum()) + (logarithm / PRIOR) ** 2 / 2

    return exp(float(minimize_scalar(loss, bounds=(log(LOWEST), log(HIGHEST)), method="bounded").x))


def held_out_temperatures(
    scores: Float[np.ndarray, "n outputs"],
    targets: Targets,
    folds: Int[np.ndarray, " n"],
    losses: Losses,
) -> Float[np.ndarray, " n"]:
    """The temperature of each sample, fitted on the folds that it is not in."""
    return _by_others(folds, lambda others: fit_temperature(scores[others], targets[others], losses))


def calibration_error(confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> float:
    """Expected calibration error: how far confidence and accuracy differ in bins of confidence of equal width."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    apart = np.bincount(bins, confidence, BINS) - np.bincount(bins, right, BINS)
    return float(np.abs(apart).sum() / len(confidence))


def threshold_for_coverage(confidence: Float[np.ndarray, " n"], coverage: float) -> float:
    """The highest confidence below which the head abstains that leaves an answer to this share of the samples."""
    kept = max(1, int(np.ceil(coverage * len(confidence) - 1e-9)))
    return float(np.sort(confidence)[::-1][kept - 1])


def threshold_for_accuracy(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], accuracy: float
) -> float | None:
    """The lowest threshold above which this share of the answers is right; None where there is none."""
    order = np.argsort(-confidence, kind="stable")
    so_far = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(confidence[order]) != 0, True)  # equal confidences are kept together
    enough = ((so_far >= accuracy) & ends).nonzero()[0]
    return float(confidence[order][enough[-1]]) if len(enough) else None


def held_out_answers(
    confidence: Float[np.ndarray, " n"],
    folds: Int[np.ndarray, " n"],
    threshold_of: Callable[[Int[np.ndarray, " others"]], float | None],
) -> Bool[np.ndarray, " n"]:
    """Which samples are answered by thresholds that were chosen on the folds that they are not in.

    Args:
        threshold_of: chooses one on the samples at some places.
    """

    def threshold(others: Int[np.ndarray, " others"]) -> float:
        found = threshold_of(others)
        return np.inf if found is None else found

    return confidence >= _by_others(folds, threshold)


def best_f1_threshold(probability: Float[np.ndarray, " n"], truth: Bool[np.ndarray, " n"]) -> float:
    """The threshold of greatest F1 of a label, between two probabilities; 0.5 where no sample has the label."""
    if not truth.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + truth.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # equal probabilities are on one side
    last = int(np.argmax(f1))
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float((ranked[last] + below) / 2)


def wilson_interval(successes: int | float, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927): also of a share of 0 or 1 it is not empty."""
    share, square = successes / count, NORMAL**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = NORMAL * sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean_of_shares(successes: Int[np.ndarray, " k"], counts: Int[np.ndarray, " k"]) -> tuple[float, float, float]:
    """The mean of independent shares and its 95 % interval, from the Wilson intervals of each (MOVER).

    Zou & Donner 2008: the variance is recovered at either limit from the limits of the shares.
    """
    shares = successes / counts
    limits = np.array([wilson_interval(float(hit), int(n)) for hit, n in zip(successes, counts, strict=True)])
    mean, down, up = shares.mean(), shares - limits[:, 0], limits[:, 1] - shares
    below, above = (float(np.sqrt(np.square(side).sum())) / len(shares) for side in (down, up))
    return float(mean), float(mean) - below, float(mean) + above


def _by_others(
    folds: Int[np.ndarray, " n"], value: Callable[[Int[np.ndarray, " others"]], float]
) -> Float[np.ndarray, " n"]:
    """For each sample, a value of the samples that are not in its fold; of all samples where there is one fold."""
    found = np.empty(len(folds))
    for fold in np.unique(folds):
        others = (folds != fold).nonzero()[0]
        found[folds == fold] = value(others if len(others) else np.arange(len(folds)))
    return found
