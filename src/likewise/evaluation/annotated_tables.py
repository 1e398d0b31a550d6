"""Tables and colours that results on annotated images share: segmentation and detection."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from likewise.console import count_of
from likewise.data.tiling import size_of_tiles
from likewise.runs.table import Table

Cell = str | float | None


def with_images(count: int | str) -> str:
    """A number of annotated images in a title."""
    return "all annotated images" if count == "all" else f"{count:,} annotated image{'s' * (count != 1)}"


def samples_of(values: dict[str, Any]) -> str:
    """What single samples are called."""
    return "tiles" if "tile" in values else "images"


def shown_of(values: dict[str, Any]) -> str:
    """What pictures are of."""
    return "tiles, with something in them if there are any" if "tile" in values else "images"


def tested(values: dict[str, Any]) -> str:
    """What was measured on, in a caption."""
    images = count_of(values["images"]["test"], "test image")
    if "tile" not in values:
        return images
    return f"{count_of(values['tiles']['test'], 'tile')} of {size_of_tiles(values['tile'])} of {images}"


def label(values: dict[str, Any], protocol: str) -> str:
    """What people call a protocol."""
    return str(values["protocol_details"][protocol]["label"])


def over_seeds(values: dict[str, Any]) -> str:
    """What "±" is, in a caption."""
    seeds = values["seeds"]
    return f"mean ± half its 95 % interval over {seeds} seeds" if seeds > 1 else "one seed"


def table_at(
    values: dict[str, Any],
    count: int | str,
    title: str,
    caption: str,
    columns: Mapping[str, str],
    last: Sequence[list[Cell]] = (),
) -> Table:
    """A row for each protocol with one number of images, a column for each measure.

    Args:
        values: of the evaluation.
        count: of annotated images.
        title, caption: of the table; the caption begins with what "±" is.
        columns: the heads of measures.
        last: rows below.
    """
    rows = [
        [label(values, name), *(cell for measure in columns for cell in _cells(values, name, count, measure))]
        for name in values["protocols"]
    ]
    return Table(
        title,
        f"{over_seeds(values)}; {caption}",
        ["protocol", *(head for name in columns.values() for head in (name, "±"))],
        ["", *["%", ""] * len(columns)],
        [*rows, *last],
    )


def table_by_count(values: dict[str, Any], measure: str, title: str, last: Sequence[list[Cell]] = ()) -> Table:
    """A row for each protocol, a column for each number of annotated images; rows `last` below."""
    rows = [
        [label(values, name), *(cell for count in values["labelled"] for cell in _cells(values, name, count, measure))]
        for name in values["protocols"]
    ]
    return Table(title, over_seeds(values), *_by_count(values, "protocol"), [*rows, *last])


def table_of_differences(values: dict[str, Any], measure: str, name: str) -> Table:
    """A row for each two protocols that are compared, a column for each number of annotated images.

    Args:
        name: of the measure.
    """
    found = {(r["protocol"], r["versus"], r["labelled"]): r for r in values["differences"] if r["measure"] == measure}
    rows: list[list[Cell]] = []
    for one, other in dict.fromkeys((one, other) for one, other, _ in found):
        row: list[Cell] = [f"{one} - {other}"]
        for count in values["labelled"]:
            each = found.get((one, other, count))
            row += [None, ""] if each is None else [each["mean"], _half(each)]
        rows.append(row)
    return Table(
        f"Paired differences of the {name}, points",
        "seed by seed, on the same images; above 0: the first is better",
        *_by_count(values, "difference"),
        rows,
    )


def table_by_class(values: dict[str, Any], count: int | str, measure: str, title: str, caption: str) -> Table:
    """A row for each class, a column for each protocol: means over the seeds in which the class has a value.

    Args:
        count: of annotated images.
        measure: a key of trials, whose value is a list.
        title, caption: of the table.
    """
    rows: list[list[Cell]] = []
    for place, name in enumerate(values["classes"]):
        row: list[Cell] = [name]
        for protocol in values["protocols"]:
            trials = [t for t in values["trials"] if (t["protocol"], t["labelled"]) == (protocol, count)]
            known = [trial[measure][place] for trial in trials if trial[measure][place] is not None]
            row.append(sum(known) / len(known) if known else None)
        rows.append(row)
    return Table(title, caption, ["class", *values["protocols"]], ["", *["%"] * len(values["protocols"])], rows)


def class_colours(classes: int) -> UInt8[Tensor, "classes 3"]:
    """A colour for each class; black for the first, which is the background mostly."""
    golden = 0.618034  # neighbours are far apart on the circle of colours
    found = [(0.0, 0.0, 0.0)]
    for number in range(classes - 1):
        found.append(colorsys.hsv_to_rgb(number * golden % 1, 0.9, 1.0 if number % 2 == 0 else 0.75))
    return (torch.tensor(found[:classes]) * 255).round().to(torch.uint8)


def as_hex(colours: UInt8[Tensor, "n 3"]) -> list[str]:
    """Colours as "#rrggbb"."""
    return ["#" + bytes(colour).hex() for colour in colours.tolist()]


def _by_count(values: dict[str, Any], first: str) -> tuple[list[str], list[str]]:
    """Head and units of a table with a column for each number of annotated images."""
    head = [first, *(head for count in values["labelled"] for head in (str(count), "±"))]
    return head, ["", *["%", ""] * len(values["labelled"])]


def _cells(values: dict[str, Any], protocol: str, count: int | str, measure: str) -> list[Cell]:
    wanted = (protocol, count, measure)
    rows = (r for r in values["summary"] if (r["protocol"], r["labelled"], r["measure"]) == wanted)
    row = next(rows, None)
    return [None, ""] if row is None else [row["mean"], _half(row)]


def _half(row: dict[str, Any]) -> str:
    return "" if row["high"] is None else f"{100 * (row['high'] - row['mean']):.1f}"
