"""How well predicted masks agree with true ones: intersection over union by class, and the F score of boundaries.

Masks are class numbers; pixels whose true class is not known (`IGNORE`) count nowhere.
"""

from __future__ import annotations

import math
from statistics import fmean

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

from likewise.data.annotations.annotation import IGNORE
from likewise.evaluation.measures import confusion_matrix

TOLERANCE = 0.0075
"""Of the image's diagonal: how far a boundary may usually be off."""


def pixel_confusion(
    truth: Integer[Tensor, "n h w"], predicted: Integer[Tensor, "n h w"], classes: int
) -> Int[Tensor, "classes classes"]:
    """Pixels of each true class (row) that were predicted as each class (column)."""
    known = truth != IGNORE
    return confusion_matrix(truth[known].long(), predicted[known].long(), classes)


def class_ious(confusion: Int[Tensor, "classes classes"]) -> list[float | None]:
    """Of each class, the pixels that are of it in both masks, as a share of those that are of it in either.

    None for a class that is in neither. 0 for one that was never predicted, or is nowhere in the truth.
    """
    both = confusion.diagonal()
    either = confusion.sum(0) + confusion.sum(1) - both
    return [b / e if e else None for b, e in zip(both.tolist(), either.tolist(), strict=True)]


def mean_of_known(values: list[float | None]) -> float:
    """The mean over the classes that have a value; 0 where none has."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else 0.0


def boundary_radius(height: int, width: int) -> int:
    """How many pixels a boundary may be off in images of this size, at least 1."""
    return max(1, round(TOLERANCE * math.hypot(height, width)))


def boundary_scores(
    truth: Integer[Tensor, "n h w"], predicted: Integer[Tensor, "n h w"], classes: int, radius: int
) -> list[float | None]:
    """The F score of the boundary of each class, mean over the images in which it has one (Csurka et al. 2013).

    Precision is the share of predicted boundary pixels with a true one at most `radius` pixels away, recall the share
    of true ones with a predicted one. An image where only one of the masks has a boundary of the class counts 0; a
    class without a boundary in any image has None. The edge of the image is no boundary, nor is that of ignored pixels.
    """
    scores: list[list[float]] = [[] for _ in range(classes)]
    offsets = disk(radius)
    for true, guess in zip(truth, predicted, strict=True):
        known = true != IGNORE
        present = torch.cat([true[known], guess[known]]).unique().tolist()
        for label in present:
            ours = boundary(guess == label, known)
            theirs = boundary(true == label, known)
            if ours.any() or theirs.any():
                scores[label].append(_f_score(ours, theirs, offsets))
    return [fmean(found) if found else None for found in scores]


def _f_score(ours: Bool[Tensor, "h w"], theirs: Bool[Tensor, "h w"], offsets: list[tuple[int, int]]) -> float:
    if not (ours.any() and theirs.any()):
        return 0.0
    precision = int((ours & dilated(theirs, offsets)).sum()) / int(ours.sum())
    recall = int((theirs & dilated(ours, offsets)).sum()) / int(theirs.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(inside: Bool[Tensor, "h w"], known: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The known pixels inside that have a known pixel outside as one of their four neighbours."""
    outside = ~inside & known
    beside = torch.zeros_like(inside)
    beside[1:] |= outside[:-1]
    beside[:-1] |= outside[1:]
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    return inside & known & beside


def disk(radius: int) -> list[tuple[int, int]]:
    """The offsets (down, right) at a distance of at most `radius`."""
    reach = range(-radius, radius + 1)
    return [(i, j) for i in reach for j in reach if i * i + j * j <= radius * radius]


def dilated(pixels: Bool[Tensor, "h w"], offsets: list[tuple[int, int]]) -> Bool[Tensor, "h w"]:
    """The pixels that are at one of these offsets from one of `pixels`."""
    height, width = pixels.shape
    found = torch.zeros_like(pixels)
    for i, j in offsets:
        if abs(i) < height and abs(j) < width:
            found[max(0, i) : height + min(0, i), max(0, j) : width + min(0, j)] |= pixels[
                max(0, -i) : height - max(0, i), max(0, -j) : width - max(0, j)
            ]
    return found
