"""A head for use: fitted to all labels, with what cross-validation says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from likewise.errors import UserError
from likewise.tasks.calibration import (
    NORMAL,
    best_f1_threshold,
    calibration_error,
    fit_temperature,
    held_out_answers,
    held_out_temperatures,
    mean_of_shares,
    threshold_for_accuracy,
    threshold_for_coverage,
    wilson_interval,
)
from likewise.tasks.cross_validation import HeldOut, Progress, choose_variance, held_out_scores
from likewise.tasks.linear_head import (
    Classification,
    Features,
    HeadTask,
    LinearHead,
    Multilabel,
    Regression,
    Targets,
    sigmoid,
    softmax,
    standardisation,
)

TASKS: dict[str, type[HeadTask]] = {task.name: task for task in (Classification, Multilabel, Regression)}
Figures = dict[str, Any]


class FittedHead(NamedTuple):
    """A head, and how its scores become answers."""

    head: LinearHead
    variance: float
    temperature: float
    threshold: float | None
    """The probability below which it abstains; None where it never does."""
    thresholds: list[float] | None
    """Of several labels a sample: the probability from which on each of them is given."""
    figures: Figures | None
    """Of cross-validation; None where no sample could be held out."""


def fit_head(
    task: HeadTask,
    features: Features,
    targets: Targets,
    *,
    seed: int,
    groups: Int[np.ndarray, " n"] | None = None,
    balanced: bool = False,
    coverage: float | None = None,
    accuracy: float | None = None,
    progress: Progress = lambda done, total, doing: None,
) -> FittedHead:
    """Fit a head to labelled features, choose its regularisation and calibrate it by cross-validation.

    Args:
        task: what the head answers.
        features: of the labelled samples, float32.
        targets: see the tasks.
        seed: of the folds.
        groups: pieces of one thing, which go to one fold together.
        balanced: whether classes count the same, however many samples they have.
        coverage: the share of samples to answer, in (0, 1]; of one class a sample.
        accuracy: the share of right answers to reach by abstaining, in (0, 1]; of one class a sample.
        progress: called with (done, total, what is being done).

    Raises:
        UserError: where no threshold reaches the accuracy, or there is nothing to choose one by.
    """
    mean, scale = standardisation(features)
    known = (features - mean) / scale
    variance = choose_variance(task, known, targets, seed, groups=groups, balanced=balanced)
    held = held_out_scores(
        task, known, targets, seed, groups=groups, balanced=balanced, variance=variance, progress=progress
    )
    head = LinearHead(*task.fit(known, targets, variance, balanced=balanced), mean, scale)
    return calibrated(task, head, held, targets, variance=variance, coverage=coverage, accuracy=accuracy)


def calibrated(
    task: HeadTask,
    head: LinearHead,
    held: HeldOut | None,
    targets: Targets,
    *,
    variance: float,
    coverage: float | None = None,
    accuracy: float | None = None,
) -> FittedHead:
    """A head with what scores of samples that it has not learned from say of it.

    Args:
        task: what the head answers.
        head: fitted to all samples.
        held: scores of samples by heads that have not learned from them; None where there are none.
        targets: of all samples.
        variance: of the head's prior.
        coverage, accuracy: see `fit_head`.

    Raises:
        UserError: where no threshold reaches the accuracy, or there is nothing to choose one by.
    """
    if held is None:
        if coverage is not None or accuracy is not None:
            raise UserError(
                "coverage and accuracy need a class with two labels, so that a threshold can be chosen on samples that "
                "were not learned from: give more labels, or leave them out"
            )
        return FittedHead(head, variance, 1.0, None, None, None)
    answers = targets[held.places]
    if isinstance(task, Regression):
        return FittedHead(head, variance, 1.0, None, None, _of_numbers(held, answers))
    temperature = fit_temperature(held.scores, answers, task.losses)
    cooled = held.scores / held_out_temperatures(held.scores, answers, held.folds, task.losses)[:, None]
    if task.losses(cooled, answers).sum() >= task.losses(held.scores, answers).sum():
        temperature, cooled = 1.0, held.scores  # of few samples, a temperature can be worse than none
    final = held.scores / temperature
    if isinstance(task, Multilabel):
        thresholds = [best_f1_threshold(*each) for each in zip(sigmoid(final).T, answers.T, strict=True)]
        return FittedHead(head, variance, temperature, None, thresholds, _of_several(held, cooled, answers))
    threshold, abstaining = _abstaining(held, cooled, final, answers, coverage, accuracy)
    figures = _of_classes(held, cooled, answers, len(head.bias)) | {"abstaining": abstaining}
    return FittedHead(head, variance, temperature, threshold, None, figures)


def share(successes: int | float, count: int) -> Figures:
    """A share of samples with its interval."""
    low, high = wilson_interval(successes, count)
    return {"mean": successes / count, "low": low, "high": high}


def _of_classes(
    held: HeldOut, cooled: Float[np.ndarray, "n classes"], truth: Int[np.ndarray, " n"], classes: int
) -> Figures:
    right = held.scores.argmax(1) == truth
    counts, hits = np.bincount(truth, minlength=classes), np.bincount(truth[right], minlength=classes)
    tested = counts > 0
    balanced = dict(zip(("mean", "low", "high"), mean_of_shares(hits[tested], counts[tested]), strict=True))
    before, after = softmax(held.scores).max(1), softmax(cooled).max(1)
    return {
        "samples": len(truth),
        "folds": len(np.unique(held.folds)),
        "accuracy": share(float(right.sum()), len(truth)),
        "balanced_accuracy": balanced,
        "commonest": float(counts.max() / len(truth)),
        "recall": [float(hit / n) if n else None for hit, n in zip(hits, counts, strict=True)],
        "calibration_error": {"before": calibration_error(before, right), "after": calibration_error(after, right)},
    }


def _abstaining(
    held: HeldOut,
    cooled: Float[np.ndarray, "n classes"],
    final: Float[np.ndarray, "n classes"],
    truth: Int[np.ndarray, " n"],
    coverage: float | None,
    accuracy: float | None,
) -> tuple[float | None, Figures | None]:
    """The threshold, and the share of samples that are answered and are right with thresholds of the other folds."""
    if coverage is None and accuracy is None:
        return None, None
    right = held.scores.argmax(1) == truth

    def threshold_of(confidence: Float[np.ndarray, " n"]) -> Callable[[Int[np.ndarray, " m"]], float | None]:
        def of(places: Int[np.ndarray, " m"]) -> float | None:
            if coverage is not None:
                return threshold_for_coverage(confidence[places], coverage)
            assert accuracy is not None
            return threshold_for_accuracy(confidence[places], right[places], accuracy)

        return of

    threshold = threshold_of(softmax(final).max(1))(np.arange(len(truth)))
    if threshold is None:
        raise UserError(
            f"accuracy must be one that some threshold reaches, got {accuracy:g}: {right.mean():.1%} of all answers "
            "are right in cross-validation, and the surest are wrong too; ask for less, or give more labels"
        )
    confidence = softmax(cooled).max(1)
    answered = held_out_answers(confidence, held.folds, threshold_of(confidence))
    figures: Figures = {"coverage": float(answered.mean()), "accuracy": None}
    if answered.any():
        figures["accuracy"] = share(float(right[answered].sum()), int(answered.sum()))
    return threshold, figures


def _of_several(held: HeldOut, cooled: Float[np.ndarray, "n labels"], truth: Bool[np.ndarray, "n labels"]) -> Figures:
    probability = sigmoid(cooled)
    given = np.zeros_like(truth)
    for label in range(truth.shape[1]):
        one, its = probability[:, label], truth[:, label]

        def threshold_of(
            others: Int[np.ndarray, " m"], one: Float[np.ndarray, " n"] = one, its: Bool[np.ndarray, " n"] = its
        ) -> float:
            return best_f1_threshold(one[others], its[others])

        given[:, label] = held_out_answers(one, held.folds, threshold_of)
    hits, there, said = (given & truth).sum(0), truth.sum(0), given.sum(0)
    f1 = 2 * hits / np.maximum(there + said, 1)
    before, flat = sigmoid(held.scores).ravel(), truth.ravel()
    return {
        "samples": len(truth),
        "folds": len(np.unique(held.folds)),
        "exact_match": share(float((given == truth).all(1).sum()), len(truth)),
        "micro_f1": float(2 * hits.sum() / max(there.sum() + said.sum(), 1)),
        "macro_f1": float(f1[there + said > 0].mean()) if (there + said).any() else 0.0,
        "recall": [float(hit / n) if n else None for hit, n in zip(hits, there, strict=True)],
        "precision": [float(hit / n) if n else None for hit, n in zip(hits, said, strict=True)],
        "calibration_error": {
            "before": calibration_error(before, flat),
            "after": calibration_error(probability.ravel(), flat),
        },
    }


def _of_numbers(held: HeldOut, truth: Float[np.ndarray, " n"]) -> Figures:
    errors = np.abs(held.scores[:, 0] - truth)
    spread = np.square(truth - truth.mean()).sum()
    mean, half = float(errors.mean()), NORMAL * float(errors.std(ddof=1)) / len(errors) ** 0.5
    return {
        "samples": len(truth),
        "folds": len(np.unique(held.folds)),
        "r2": float(1 - np.square(errors).sum() / spread) if spread > 0 else 0.0,
        "mean_absolute_error": {"mean": mean, "low": max(0.0, mean - half), "high": mean + half},
        "of_the_mean": float(np.abs(truth - truth.mean()).mean()),
    }
