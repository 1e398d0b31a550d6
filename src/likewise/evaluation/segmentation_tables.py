"""The result of a segmentation as tables, and as pictures."""

from __future__ import annotations

import colorsys
from typing import Any

import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from likewise.data.annotations.annotation import IGNORE
from likewise.evaluation.segmentation import MEASURES, TYPICAL_IMAGES, SegmentationPictures
from likewise.runs.counts import nearest_to_typical
from likewise.runs.figures import Figure, FigureRow
from likewise.runs.table import Table

OPACITY = 0.6
"""Of the colour of a class over the picture."""
Cell = str | float | None


def segmentation_tables(values: dict[str, Any], test: str) -> list[Table]:
    """What evaluation.json shows of a segmentation: the usual number of images first, then all numbers.

    Args:
        values: of `evaluate_segmentation`.
        test: what the test images are called.
    """
    typical = nearest_to_typical(values["labelled"], TYPICAL_IMAGES)
    return [
        _at(values, typical, test),
        *(_by_count(values, measure, test) for measure in MEASURES),
        *([_differences(values)] if values["differences"] else []),
        _by_class(values, typical),
        *([_discovery(values, test)] if values.get("discovery", {}).get("images") else []),
    ]


def with_images(count: int | str) -> str:
    """A number of annotated images in a title."""
    return "all annotated images" if count == "all" else f"{count:,} annotated image{'s' * (count != 1)}"


def _at(values: dict[str, Any], count: int | str, test: str) -> Table:
    rows = [
        [label(values, name), *(_cells(values, name, count, "miou")), *_cells(values, name, count, "boundary_f")]
        for name in values["protocols"]
    ]
    constant: list[Cell] = [_constant(values), values["baseline"]["miou"], "", values["baseline"]["boundary_f"], ""]
    caption = f"{_over(values)}; {values['images']['test']:,} test images, {len(values['classes'])} classes"
    return Table(
        f"Segmentation of {test} with {with_images(count)}",
        caption,
        ["protocol", "mIoU", "±", "boundary F", "±"],
        ["", "%", "", "%", ""],
        [*rows, constant],
    )


def _by_count(values: dict[str, Any], measure: str, test: str) -> Table:
    rows: list[list[Cell]] = []
    for name in values["protocols"]:
        row: list[Cell] = [label(values, name)]
        for count in values["labelled"]:
            row += _cells(values, name, count, measure)
        rows.append(row)
    constant: list[Cell] = [_constant(values)]
    for _ in values["labelled"]:
        constant += [values["baseline"][measure], ""]
    return Table(
        f"{MEASURES[measure][0].upper()}{MEASURES[measure][1:]} on {test}, by number of annotated images",
        _over(values),
        ["protocol", *(head for count in values["labelled"] for head in (str(count), "±"))],
        ["", *["%", ""] * len(values["labelled"])],
        [*rows, constant],
    )


def _differences(values: dict[str, Any]) -> Table:
    found = {(r["protocol"], r["versus"], r["labelled"]): r for r in values["differences"] if r["measure"] == "miou"}
    pairs = dict.fromkeys((one, other) for one, other, _ in found)
    rows: list[list[Cell]] = []
    for one, other in pairs:
        row: list[Cell] = [f"{one} - {other}"]
        for count in values["labelled"]:
            each = found.get((one, other, count))
            row += [None, ""] if each is None else [each["mean"], _half(each)]
        rows.append(row)
    return Table(
        "Paired differences of the mean intersection over union, points",
        "seed by seed, on the same images; above 0: the first is better",
        ["difference", *(head for count in values["labelled"] for head in (str(count), "±"))],
        ["", *["%", ""] * len(values["labelled"])],
        rows,
    )


def _by_class(values: dict[str, Any], count: int | str) -> Table:
    """Means over the seeds in which a class has a value."""
    rows: list[list[Cell]] = []
    for place, name in enumerate(values["classes"]):
        row: list[Cell] = [name]
        for protocol in values["protocols"]:
            trials = [t for t in values["trials"] if (t["protocol"], t["labelled"]) == (protocol, count)]
            known = [trial["iou"][place] for trial in trials if trial["iou"][place] is not None]
            row.append(sum(known) / len(known) if known else None)
        rows.append(row)
    return Table(
        f"Intersection over union of each class with {with_images(count)}",
        "–: a class that is neither in the test masks nor predicted",
        ["class", *values["protocols"]],
        ["", *["%"] * len(values["protocols"])],
        rows,
    )


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
        f"share of the {found['images']:,} test images with an object in which the box of the places that are least "
        "like the others (LOST) overlaps that of an object by half",
        ["features", "CorLoc"],
        ["", "%"],
        [*rows, ["Always the whole image", found["whole_image"]]],
    )


def label(values: dict[str, Any], protocol: str) -> str:
    return str(values["protocol_details"][protocol]["label"])


def _constant(values: dict[str, Any]) -> str:
    return f"Always {values['baseline']['class']}"


def _over(values: dict[str, Any]) -> str:
    seeds = values["seeds"]
    return f"mean ± half its 95 % interval over {seeds} seeds" if seeds > 1 else "one seed"


def _cells(values: dict[str, Any], protocol: str, count: int | str, measure: str) -> list[Cell]:
    wanted = (protocol, count, measure)
    rows = (r for r in values["summary"] if (r["protocol"], r["labelled"], r["measure"]) == wanted)
    row = next(rows, None)
    return [None, ""] if row is None else [row["mean"], _half(row)]


def _half(row: dict[str, Any]) -> str:
    return "" if row["high"] is None else f"{100 * (row['high'] - row['mean']):.1f}"


def class_colours(classes: int) -> UInt8[Tensor, "classes 3"]:
    """A colour for each class; black for the first, which is the background mostly."""
    golden = 0.618034  # neighbours are far apart on the circle of colours
    found = [(0.0, 0.0, 0.0)]
    for number in range(classes - 1):
        found.append(colorsys.hsv_to_rgb(number * golden % 1, 0.9, 1.0 if number % 2 == 0 else 0.75))
    return (torch.tensor(found[:classes]) * 255).round().to(torch.uint8)


def hex_colours(classes: int) -> list[str]:
    """As `class_colours`, as "#rrggbb"."""
    return ["#" + bytes(colour).hex() for colour in class_colours(classes).tolist()]


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
            "Predictions", f"Test images, and what the first seed made of them after learning from {learned}.", rows
        ),
        Figure(
            "Features",
            "The first three principal components of the features of each place as red, green and blue, over all of "
            "these images: places of one colour are alike to the encoder.",
            [FigureRow("image", pictures.images.expand(-1, 3, -1, -1)), *shown],
        ),
    ]
