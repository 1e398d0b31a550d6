"""The result of a segmentation as tables, and as pictures."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from likewise.data.annotations.annotation import IGNORE
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
from likewise.evaluation.segmentation import MEASURES, SegmentationPictures
from likewise.runs.counts import nearest_to_typical
from likewise.runs.figures import Figure, FigureRow
from likewise.runs.table import Table

OPACITY = 0.6
"""Of the colour of a class over the picture."""


def segmentation_tables(values: dict[str, Any], test: str) -> list[Table]:
    """What evaluation.json shows of a segmentation: the usual number of images first, then all numbers.

    Args:
        values: of `evaluate_segmentation`.
        test: what the test images are called.
    """
    typical = nearest_to_typical(values["labelled"], TYPICAL_IMAGES)
    baseline = values["baseline"]
    constant = f"Always {baseline['class']}"
    last: list[Cell] = [constant, baseline["miou"], "", baseline["boundary_f"], ""]

    def by_count(measure: str) -> Table:
        row: list[Cell] = [constant, *[baseline[measure], ""] * len(values["labelled"])]
        title = f"{MEASURES[measure][0].upper()}{MEASURES[measure][1:]} on {test}, by number of annotated images"
        return table_by_count(values, measure, title, [row])

    return [
        table_at(
            values,
            typical,
            f"Segmentation of {test} with {with_images(typical)}",
            f"{tested(values)}, {len(values['classes'])} classes",
            {"miou": "mIoU", "boundary_f": "boundary F"},
            [last],
        ),
        *map(by_count, MEASURES),
        *([table_of_differences(values, "miou", MEASURES["miou"])] if values["differences"] else []),
        table_by_class(
            values,
            typical,
            "iou",
            f"Intersection over union of each class with {with_images(typical)}",
            "–: a class that is neither in the test masks nor predicted",
        ),
        *([_discovery(values, test)] if values.get("discovery", {}).get("images") else []),
    ]


def _discovery(values: dict[str, Any], test: str) -> Table:
    """Boxes that features find by themselves."""
    names = {
        "frozen": "Trained encoder", "as-given": "Weights as given", "untrained": "Untrained encoder",
        "raw-logistic": "Colours",
    }  # fmt: skip
    found = values["discovery"]
    rows: list[list[Cell]] = [[names[name], sum(each) / len(each)] for name, each in found["corloc"].items()]
    return Table(
        f"Objects found in {test} without any annotation",
        f"share of the {found['images']:,} test {samples_of(values)} with an object in which the box of the places "
        "that are least like the others (LOST) overlaps that of an object by half",
        ["features", "CorLoc"],
        ["", "%"],
        [*rows, ["Always the whole image", found["whole_image"]]],
    )


def painted(
    images: UInt8[Tensor, "n c h w"], masks: Integer[Tensor, "n h w"], classes: int
) -> UInt8[Tensor, "n 3 h w"]:
    """Pictures under the colours of their masks; what has no class is grey."""
    colours = torch.full((256, 3), 127, dtype=torch.uint8)
    colours[:classes] = class_colours(classes)
    over: Float[Tensor, "n 3 h w"] = colours[masks.long()].movedim(3, 1).float()
    mixed = OPACITY * over + (1 - OPACITY) * images.float().expand(-1, 3, -1, -1)
    seen = torch.where((masks == IGNORE)[:, None], images.expand(-1, 3, -1, -1).float(), mixed)
    return seen.round().to(torch.uint8)


def segmentation_figure(values: dict[str, Any], pictures: SegmentationPictures) -> list[Figure]:
    """Images, masks, predictions and features of some test images, in rows."""
    classes = len(values["classes"])
    rows = [
        FigureRow("image", pictures.images.expand(-1, 3, -1, -1)),
        FigureRow("mask", painted(pictures.images, pictures.truth, classes)),
        *(
            FigureRow(label(values, name), painted(pictures.images, found, classes))
            for name, found in pictures.predicted.items()
        ),
    ]
    features = {"untrained": "untrained", "as-given": "weights as given", "frozen": "trained"}
    shown = [FigureRow(features[name], colours) for name, colours in pictures.colours.items()]
    learned = with_images(pictures.labelled)
    return [
        Figure(
            "Predictions",
            f"Test {shown_of(values)}, and what the first seed made of them after learning from {learned}.",
            rows,
        ),
        Figure(
            "Features",
            "The first three principal components of the features of each place as red, green and blue, over all of "
            "these images: places of one colour are alike to the encoder.",
            [FigureRow("image", pictures.images.expand(-1, 3, -1, -1)), *shown],
        ),
    ]
