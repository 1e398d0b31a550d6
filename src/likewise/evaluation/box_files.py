"""Boxes of things in images of any size, by a detector for letter-boxed ones, as COCO's results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torchvision.models.detection import FCOS

from likewise.data.files import File
from likewise.data.pictures import Letterboxed
from likewise.evaluation.detection_measures import Detections
from likewise.evaluation.detector import detections
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.letterboxed import predict_letterboxed

PLACES, DIGITS = 2, 5
"""Digits after the point, of edges and of scores."""


class BoxesOfImage(NamedTuple):
    """The boxes of one image, or why there are none."""

    file: File
    found: Detections | None
    """In pixels of the image, upright."""
    size: tuple[int, int]
    """Its width and height."""
    reason: str = ""


def predicted_boxes(
    network: FCOS,
    views: EvaluationViews,
    folder: Path,
    files: Sequence[File],
    *,
    size: int,
    channels: int,
    compute: ComputeSettings,
) -> Iterator[BoxesOfImage]:
    """The boxes in images, at their own sizes, upright.

    Args:
        network: that finds them in views.
        views: the `clean` ones.
        folder: that the files are in.
        files: the images.
        size, channels: of the views.
        compute: where and how; so many images are read at once.
    """
    how: dict[str, Any] = {"size": size, "channels": channels, "compute": compute}
    for file, found in predict_letterboxed(partial(detections, network), views, folder, files, **how):
        if isinstance(found, str):
            yield BoxesOfImage(file, None, (0, 0), found)
        else:
            picture, boxes = found
            yield BoxesOfImage(file, in_image(boxes, picture), picture.size)


def in_image(found: Detections, picture: Letterboxed) -> Detections:
    """Boxes of the square that an image lies in as those of the image, cut at its edges; without those beside it."""
    left, top, wide, high = picture.frame
    size = torch.tensor(picture.size, dtype=torch.float64)
    corners = found.boxes.double().view(-1, 2, 2) - torch.tensor([left, top])
    corners = (corners / torch.tensor([wide, high]) * size).clamp(min=torch.zeros(2).double(), max=size)
    inside = (corners[:, 1] > corners[:, 0]).all(1)
    return Detections(corners.flatten(1)[inside], found.labels[inside], found.scores[inside])


def coco_boxes(found: Detections, image: int, classes: Sequence[int]) -> list[dict[str, Any]]:
    """Entries of COCO's results: numbers of image and class, left, top, width and height, and score."""
    return [
        {
            "image_id": image,
            "category_id": classes[label],
            "bbox": [round(edge, PLACES) for edge in (left, top, right - left, bottom - top)],
            "score": round(score, DIGITS),
        }
        for (left, top, right, bottom), label, score in zip(
            found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
        )
    ]
