"""Accuracies of a trial, and their mean and interval over trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from jaxtyping import Int
from scipy.special import stdtrit
from torch import Tensor

CONFIDENCE = 0.95
UNEVEN = ("balanced_accuracy", "macro_f1")
"""Measures of a trial that tell more than the accuracy where classes are uneven."""


def confusion_matrix(
    truth: Int[Tensor, " n"], predicted: Int[Tensor, " n"], classes: int
) -> Int[Tensor, "classes classes"]:
    """Samples of each true class (row) that were predicted as each class (column)."""
    return torch.bincount(truth * classes + predicted, minlength=classes**2).view(classes, classes)


def entries(confusion: Int[Tensor, "classes classes"]) -> list[list[int]]:
    """The non-zero entries of a confusion matrix, each [true, predicted, count]: few where classes are many."""
    where = confusion.nonzero()
    return torch.cat([where, confusion[*where.T][:, None]], dim=1).tolist()


def class_accuracies(confusion: Int[Tensor, "classes classes"]) -> list[float | None]:
    """Share of each class's samples that was classified correctly; None for a class without samples."""
    samples, right = confusion.sum(1).tolist(), confusion.diagonal().tolist()
    return [r / n if n else None for r, n in zip(right, samples, strict=True)]


def balanced_accuracy(confusion: Int[Tensor, "classes classes"]) -> float:
    """The mean of the accuracies of the classes that have samples, in [0, 1]: each class counts the same."""
    return fmean(accuracy for accuracy in class_accuracies(confusion) if accuracy is not None)


def macro_f1(confusion: Int[Tensor, "classes classes"]) -> float:
    """The mean over classes of the F1 score, in [0, 1]; of the classes that are there, or were predicted."""
    right, total = confusion.diagonal(), confusion.sum(0) + confusion.sum(1)
    return float((2 * right[total > 0] / total[total > 0]).double().mean())


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and 95 % Student-t confidence interval of the mean; (mean, None, None) of a single value."""
    mean = fmean(values)
    if len(values) < 2:
        return mean, None, None
    freedom = len(values) - 1
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half


def summarize(trials: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each protocol and label count, in order of appearance: accuracy over seeds, summed seconds."""
    groups: dict[tuple[str, int | str], list[dict[str, Any]]] = {}
    for trial in trials:
        groups.setdefault((trial["protocol"], trial["labels_per_class"]), []).append(trial)
    rows = []
    for (protocol, count), group in groups.items():
        others = {name: fmean(trial[name] for trial in group) for name in UNEVEN if name in group[0]}
        mean, low, high = interval([trial["accuracy"] for trial in group])
        rows.append(
            {
                "protocol": protocol,
                "labels_per_class": count,
                "mean": mean,
                "low": low,
                "high": high,
                "seeds": len(group),
                "seconds": sum(trial["seconds"] for trial in group),
                **others,
            }
        )
    return rows


def paired_differences(trials: Sequence[dict[str, Any]], pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """How much more accurate one protocol is than another, on the same draws of labels.

    All protocols of a seed use the same labels, so what a draw adds to both cancels.

    Args:
        trials: of an evaluation.
        pairs: names of protocols, (one, versus).

    Returns:
        A row for each pair and label count that was measured: "mean" of the differences over seeds, in [-1, 1], and its
        95 % Student-t interval, None of a single seed. A protocol without randomness has one trial for all seeds.
    """
    found: dict[tuple[str, int | str], dict[int, float]] = {}
    for trial in trials:
        found.setdefault((trial["protocol"], trial["labels_per_class"]), {})[trial["seed"]] = trial["accuracy"]
    counts = list(dict.fromkeys(count for _, count in found))
    rows = []
    for one, versus in pairs:
        for count in counts:
            ours, theirs = found.get((one, count), {}), found.get((versus, count), {})
            seeds = ours.keys() & theirs.keys() if min(len(ours), len(theirs)) > 1 else ours.keys() | theirs.keys()
            if not (ours and theirs and seeds):
                continue
            differences = [
                ours.get(seed, next(iter(ours.values()))) - theirs.get(seed, next(iter(theirs.values())))
                for seed in sorted(seeds)
            ]
            mean, low, high = interval(differences)
            row = {"protocol": one, "versus": versus, "labels_per_class": count, "mean": mean, "low": low, "high": high}
            rows.append(row | {"seeds": len(differences)})
    return rows
