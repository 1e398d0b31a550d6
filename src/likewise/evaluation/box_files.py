"""Boxes of things in images of any size, by a detector for letter-boxed ones or tiles, as COCO's results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torchvision.models.detection import FCOS

from likewise.data.files import File
from likewise.evaluation.detection_measures import Detections
from likewise.evaluation.detector import detections
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.letterboxed import predict_letterboxed
from likewise.evaluation.merged_boxes import MergedBoxes, in_image
from likewise.evaluation.tiled import predict_tiled

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
    tile: int | None,
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
        tile: the side of the squares that they are cut into; None: they are letter-boxed.
        size, channels: of the views.
        compute: where and how; so many images, or tiles of one, are predicted at once.
    """
    how: dict[str, Any] = {"size": size, "channels": channels, "compute": compute}
    find = partial(detections, network)
    if tile is not None:
        for file, boxes in predict_tiled(find, MergedBoxes, views, folder, files, tile=tile, **how):
            yield BoxesOfImage(file, None, (0, 0), boxes) if isinstance(boxes, str) else BoxesOfImage(file, *boxes)
        return
    for file, found in predict_letterboxed(find, views, folder, files, **how):
        if isinstance(found, str):
            yield BoxesOfImage(file, None, (0, 0), found)
        else:
            picture, square = found
            yield BoxesOfImage(file, in_image(square, picture), picture.size)


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
