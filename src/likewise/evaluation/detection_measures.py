"""How well predicted boxes agree with true ones: COCO's average precision and recall, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from likewise.data.annotations.annotation import Box
from likewise.errors import needs

MOST_BOXES = 100
"""Of an image: of more than these, the surest are measured."""
LARGEST_AREA = 1e10
FIFTY, SEVENTY_FIVE = 0, 5
"""Places of the intersections over union 0.5 and 0.75 among 0.5, 0.55, …, 0.95."""


class Detections(NamedTuple):
    """The boxes that were found in one image."""

    boxes: Float[Tensor, "n 4"]
    """Left, top, right and bottom."""
    labels: Int[Tensor, " n"]
    scores: Float[Tensor, " n"]


class BoxScores(NamedTuple):
    """COCO's measures, from 0 to 1."""

    ap: float
    ap50: float
    ap75: float
    ar: float
    by_class: list[float | None]
    """The average precision of each class; None for one that is nowhere in the truth."""


def box_scores(truth: Sequence[Sequence[Box]], found: Sequence[Detections], classes: int) -> BoxScores:
    """Average precision and recall over intersections over union of 0.5 to 0.95, as COCO defines them.

    AP is the mean precision at 101 recalls, over ten thresholds and the classes that are in the truth; AP50 and AP75
    are that of one threshold. AR is the largest recall with 100 boxes of each image. A box around a crowd is neither to
    be found, nor are those in it wrong. Where no class is in the truth, all measures are 0.

    Args:
        truth: the boxes of each image.
        found: likewise.
        classes: how many there are; labels are positions among them.

    Raises:
        UserError: where faster-coco-eval is not installed.
    """
    package = needs("faster_coco_eval", "detection")
    images = [{"id": image} for image in range(1, len(truth) + 1)]
    annotations = [
        _box(image, box.label, *box[:4]) | {"iscrowd": int(box.crowd)}
        for image, boxes in enumerate(truth, start=1)
        for box in boxes
    ]
    results = [
        _box(image, label, *edges) | {"score": score}
        for image, each in enumerate(found, start=1)
        for edges, label, score in zip(each.boxes.tolist(), each.labels.tolist(), each.scores.tolist(), strict=True)
    ]
    categories = [{"id": label + 1, "name": str(label)} for label in range(classes)]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    expected = package.COCO({"images": images, "annotations": annotations, "categories": categories})
    evaluation = package.COCOeval_faster(expected, expected.loadRes(results), "bbox")
    evaluation.params.maxDets = [MOST_BOXES]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, LARGEST_AREA]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # threshold, recall, class; -1 of a class without truth
    recall = evaluation.eval["recall"][..., 0, 0]
    by_class = [_mean(precision[:, :, label]) for label in range(classes)]
    means = [_mean(values) or 0.0 for values in (precision, precision[FIFTY], precision[SEVENTY_FIVE], recall)]
    return BoxScores(means[0], means[1], means[2], means[3], by_class)


def _box(image: int, label: int, left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    wide, high = right - left, bottom - top
    return {
        "image_id": image,
        "category_id": label + 1,
        "bbox": [left, top, wide, high],
        "area": wide * high,
    }


def _mean(values: Float[np.ndarray, "..."]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
