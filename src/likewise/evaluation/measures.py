"""Accuracies of a trial, and their mean and interval over trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from jaxtyping import Int
from scipy.special import stdtrit
from torch import Tensor

CONFIDENCE = 0.95


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
            }
        )
    return rows
