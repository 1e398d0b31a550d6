"""The result of a detection as tables, and as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from likewise.data.annotations.annotation import Box
from likewise.evaluation.annotated import TYPICAL_IMAGES
from likewise.evaluation.annotated_tables import (
    Cell,
    class_colours,
    label,
    samples_of,
    shown_of,
    table_at,
    table_by_class,
    table_by_count,
    table_of_differences,
    tested,
    with_images,
)
from likewise.evaluation.detection import MEASURES, DetectionPictures
from likewise.evaluation.detection_errors import ERRORS, SHOWN_SCORE, kinds_of
from likewise.evaluation.detection_measures import Detections
from likewise.runs.counts import nearest_to_typical
from likewise.runs.figures import Figure, FigureRow
from likewise.runs.table import Table

SHORT = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ar": "AR"}
SHOWN_SIDE = 192
"""Pixels that a picture has at least, so that lines are thin."""
LINE = 2
MISSED, WRONG = (255, 255, 255), (255, 0, 0)


def detection_tables(values: dict[str, Any], test: str) -> list[Table]:
    """What evaluation.json shows of a detection: the usual number of images first, then all numbers.

    Args:
        values: of `evaluate_detection`.
        test: what the test images are called.
    """
    typical = nearest_to_typical(values["labelled"], TYPICAL_IMAGES)
    things = f"{values['boxes']:,} boxes, {len(values['classes'])} classes"
    return [
        table_at(
            values,
            typical,
            f"Detection in {test} with {with_images(typical)}",
            f"COCO's measures; {tested(values)}, {things}",
            SHORT,
        ),
        table_by_count(values, "ap", f"Average precision on {test}, by number of annotated images"),
        *([table_of_differences(values, "ap", MEASURES["ap"])] if values["differences"] else []),
        table_by_class(
            values,
            typical,
            "by_class",
            f"Average precision of each class with {with_images(typical)}",
            f"–: a class that is not in the test {samples_of(values)}",
        ),
        _errors(values, typical),
    ]


def _errors(values: dict[str, Any], count: int | str) -> Table:
    """How many boxes are of each kind, means over seeds."""
    rows: list[list[Cell]] = []
    for name in values["protocols"]:
        trials = [t for t in values["trials"] if (t["protocol"], t["labelled"]) == (name, count)]
        means = [sum(trial["errors"][kind] for trial in trials) / len(trials) for kind in ERRORS]
        rows.append([label(values, name), *means])
    return Table(
        f"Errors with {with_images(count)}",
        f"boxes with a score of at least {SHOWN_SCORE}, mean over seeds; wrong by class, by place, by both, as a "
        "second one of the same thing, or where nothing is; missed: true boxes",
        ["protocol", *ERRORS],
        [""] * (1 + len(ERRORS)),
        rows,
    )


def thing_colours(classes: int) -> UInt8[Tensor, "classes 3"]:
    """A colour for each class of things."""
    return class_colours(classes + 1)[1:]


def detection_figure(values: dict[str, Any], pictures: DetectionPictures) -> list[Figure]:
    """Images, true and predicted boxes, and errors of some test images, in rows."""
    classes = len(values["classes"])
    colours = [tuple(colour) for colour in thing_colours(classes).tolist()]
    truth = [[(box, colours[box.label]) for box in boxes] for boxes in pictures.truth]
    learned = with_images(pictures.labelled)
    true = FigureRow("true boxes", drawn(pictures.images, truth))
    rows, errors = [true], [true]
    for name, found in pictures.predicted.items():
        boxes = [[(box, colours[box.label]) for box in boxes_of(each)] for each in found]
        rows.append(FigureRow(label(values, name), drawn(pictures.images, boxes)))
        wrong = [errors_of(*each) for each in zip(pictures.truth, found, strict=True)]
        errors.append(FigureRow(f"{label(values, name)}: errors", drawn(pictures.images, wrong)))
    caption = f"Test {shown_of(values)}, and the boxes with a score of at least {SHOWN_SCORE} of the first seed"
    return [
        Figure("Predictions", f"{caption}, after learning from {learned}.", rows),
        Figure(
            "Errors",
            f"The same {samples_of(values)}: red, predicted boxes that are wrong, by their class, by their place, or "
            "as a second one of the same thing; white, true boxes that were missed.",
            errors,
        ),
    ]


def boxes_of(found: Detections) -> list[Box]:
    """Predicted boxes in the form of true ones."""
    boxes = zip(found.boxes.tolist(), found.labels.tolist(), strict=True)
    return [Box(left, top, right, bottom, box) for (left, top, right, bottom), box in boxes]


def errors_of(truth: Sequence[Box], found: Detections) -> list[tuple[Box, tuple[int, ...]]]:
    """True boxes that were missed and predicted ones that are wrong, in their colours."""
    kinds, there = kinds_of(truth, found)
    missed: list[tuple[Box, tuple[int, ...]]] = [
        (box, MISSED) for box, known in zip(truth, there, strict=True) if not known
    ]
    return [*missed, *((box, WRONG) for box, kind in zip(boxes_of(found), kinds, strict=True) if kind != "right")]


def drawn(
    images: UInt8[Tensor, "n c h w"], boxes: Sequence[Sequence[tuple[Box, tuple[int, ...]]]]
) -> UInt8[np.ndarray, "n 3 i j"]:
    """Pictures with boxes in colours, enlarged if they are small."""
    times = max(1, math.ceil(SHOWN_SIDE / images.shape[3]))
    found = []
    for image, some in zip(images, boxes, strict=True):
        picture = Image.fromarray(image.expand(3, -1, -1).permute(1, 2, 0).numpy())
        picture = picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)
        pen = ImageDraw.Draw(picture)
        for box, colour in some:
            left, top, right, bottom = (round(times * edge) for edge in box[:4])
            pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=LINE)
        found.append(np.asarray(picture).transpose(2, 0, 1))
    return np.stack(found)
