"""What is wrong with predicted boxes, by kind (TIDE, arXiv:2008.08115): of which boxes are sure enough to be shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import box_iou

from likewise.data.annotations.annotation import Box
from likewise.evaluation.detection_measures import Detections

SHOWN_SCORE = 0.5
"""From which score on a predicted box is shown, and counted here."""
FOREGROUND, BACKGROUND = 0.5, 0.1
"""Intersections over union: from the first on a box is at its place, below the second it is of nothing."""
ERRORS = ("right", "class", "place", "both", "twice", "nothing", "missed")
"""The kinds: "right" are no errors, "missed" are true boxes, the others are predicted ones."""


def surest(found: Detections) -> Detections:
    """Those that are sure enough to be shown."""
    kept = found.scores >= SHOWN_SCORE
    return Detections(found.boxes[kept], found.labels[kept], found.scores[kept])


def kinds_of(truth: Sequence[Box], found: Detections) -> tuple[list[str], list[bool]]:
    """The kind of each predicted box of one image, and of each true box whether it was found.

    The surest box chooses first. One in a crowd is right, and a crowd need not be found.
    """
    boxes = torch.tensor([box[:4] for box in truth], dtype=torch.float32).view(-1, 4)
    overlaps = box_iou(found.boxes.float(), boxes)
    taken = [box.crowd for box in truth]
    kinds = [""] * len(found.labels)
    for place in found.scores.argsort(descending=True, stable=True).tolist():
        label = int(found.labels[place])
        same = [number for number, box in enumerate(truth) if box.label == label]
        if any(truth[n].crowd and _inside(found.boxes[place], truth[n]) >= FOREGROUND for n in same):
            kinds[place] = "right"
            continue
        free = [n for n in same if not taken[n]]
        best = max(free, key=lambda n: float(overlaps[place, n]), default=None)
        if best is not None and overlaps[place, best] >= FOREGROUND:
            kinds[place], taken[best] = "right", True
            continue
        with_same = max((float(overlaps[place, n]) for n in same), default=0.0)
        with_any = float(overlaps[place].max()) if len(truth) else 0.0
        if with_same >= FOREGROUND:
            kinds[place] = "twice"
        elif with_same >= BACKGROUND:
            kinds[place] = "place"
        elif with_any >= FOREGROUND:
            kinds[place] = "class"
        else:
            kinds[place] = "both" if with_any >= BACKGROUND else "nothing"
    return kinds, taken


def count_errors(truth: Sequence[Sequence[Box]], found: Sequence[Detections]) -> dict[str, int]:
    """How many boxes of all images are of each kind."""
    counts = dict.fromkeys(ERRORS, 0)
    for boxes, each in zip(truth, found, strict=True):
        kinds, there = kinds_of(boxes, each)
        for kind in kinds:
            counts[kind] += 1
        counts["missed"] += there.count(False)
    return counts


def _inside(box: Float[Tensor, " 4"], crowd: Box) -> float:
    """The share of a box that lies in a crowd."""
    left, top, right, bottom = box.tolist()
    wide, high = min(right, crowd.right) - max(left, crowd.left), min(bottom, crowd.bottom) - max(top, crowd.top)
    return max(0.0, wide) * max(0.0, high) / max((right - left) * (bottom - top), 1e-9)
