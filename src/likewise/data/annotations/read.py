"""Which of the formats a folder has, and what its files say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from likewise.data.annotations.annotation import Annotations
from likewise.data.annotations.box_table import read_box_table
from likewise.data.annotations.coco import read_coco
from likewise.data.annotations.layout import AnnotationLayout, find_layout
from likewise.data.annotations.masks import read_masks
from likewise.data.annotations.parquet_rows import read_box_rows, read_mask_rows
from likewise.data.annotations.voc import read_voc
from likewise.data.annotations.yolo import read_yolo
from likewise.data.resolve import is_name, path_and_split
from likewise.errors import UserError

Wanted = Literal["masks", "boxes"]
FORMATS: dict[Wanted, dict[str, Callable[[AnnotationLayout], Annotations]]] = {
    "masks": {"masks": read_masks, "coco": read_coco, "yolo": read_yolo, "parquet": read_mask_rows},
    "boxes": {
        "coco": read_coco,
        "voc": read_voc,
        "yolo": read_yolo,
        "table": read_box_table,
        "parquet": read_box_rows,
    },
}
"""By what is wanted: the readers in the order in which they are asked."""
PLACES: dict[Wanted, str] = {
    "masks": "a folder images/ beside masks/ (a PNG of the image's name), a JSON file of COCO's kind, a folder "
    "labels/ of YOLO's text, or Parquet files with columns image and mask",
    "boxes": "a JSON file of COCO's kind, a folder Annotations/ of Pascal VOC's XML, a folder labels/ of YOLO's text, "
    "a table (.csv …) with columns file, xmin, ymin, xmax, ymax and label, or Parquet files with columns image and "
    "objects",
}


def read_annotations(data: Any, wanted: Wanted) -> Annotations:
    """What the files of a folder say of its images.

    Args:
        data: the folder, perhaps with a part: `scenes`, `scenes:train`.
        wanted: masks (also as outlines) or boxes.

    Raises:
        UserError: for a folder without such annotations, or with none that can be used.
    """
    layout = layout_of(data)
    found = None
    for name, read in FORMATS[wanted].items():
        if getattr(layout, name) is None:
            continue
        found = read(layout)
        if any(image.has_mask if wanted == "masks" else image.boxes for image in found.images):
            return found
    if found is None:
        raise UserError(f"{data} has no {wanted} of its images; they are read from {PLACES[wanted]}")
    first = found.skipped[0] if found.skipped else None
    why = f" ({first[0]}: {first[1]})" if first else ""
    raise UserError(f"{data} has {found.format} annotations, but no {wanted} that can be used{why}")


def layout_of(data: Any) -> AnnotationLayout:
    """Where images and annotations of a data argument lie.

    Raises:
        UserError: for anything but a folder.
    """
    if not isinstance(data, str | Path) or is_name(data):
        raise UserError(
            f"annotated images must be in a folder, got {data if isinstance(data, str) else type(data).__name__}"
        )
    return find_layout(*path_and_split(data))
