"""Boxes of one image against the image: in pixels, inside of it, and around something."""

from __future__ import annotations

import math
from collections.abc import Sequence

from likewise.data.annotations.annotation import AnnotationError, Box

NEARLY = 1e-3
"""By how much a share of the image may be above 1: files have few digits."""
LEAST_SHARE = 0.5
"""Of a box that must be in a part of an image for it to be looked for there."""


def checked_boxes(
    boxes: Sequence[Box], width: int, height: int, *, shares: bool = False
) -> tuple[list[Box], list[tuple[int, str]]]:
    """The boxes that can be used, in pixels and cut at the edges of the image; of the others the place and the reason.

    Args:
        boxes: as a file says them.
        width, height: of the image.
        shares: whether they are in shares of width and height.
    """
    kept, faults = [], []
    for place, box in enumerate(boxes):
        try:
            kept.append(checked_box(box, width, height, shares=shares))
        except AnnotationError as error:
            faults.append((place, str(error)))
    return kept, faults


def checked_box(box: Box, width: int, height: int, *, shares: bool = False) -> Box:
    """One box as `checked_boxes` has it.

    Raises:
        AnnotationError: for a box that cannot be used.
    """
    edges = box[:4]
    if not all(math.isfinite(edge) for edge in edges):
        raise AnnotationError("box with an edge that is no number")
    if shares:
        if max(map(abs, edges)) > 2:
            raise AnnotationError(f"box {shown(edges)} is in pixels, where shares of the image are expected")
        edges = (edges[0] * width, edges[1] * height, edges[2] * width, edges[3] * height)
    elif min(edges) >= 0 and max(edges) <= 1 + NEARLY and any(edge % 1 for edge in edges):
        raise AnnotationError(f"box {shown(edges)} is in shares of the image, where pixels are expected")
    left, top, right, bottom = edges
    if right <= left or bottom <= top:
        raise AnnotationError(f"box {shown(edges)} without an area")
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise AnnotationError(f"box {shown(edges)} outside the image of {width} x {height} pixels")
    return Box(max(0.0, left), max(0.0, top), min(width, right), min(height, bottom), box.label, box.crowd)


def shown(edges: Sequence[int | float]) -> str:
    return ", ".join(f"{edge:g}" for edge in edges)


def boxes_in_part(boxes: Sequence[Box], part: tuple[int, int, int, int]) -> list[Box]:
    """The boxes in a part of an image, counted from its left and top, and cut at its edges.

    One of which less than half is there counts as a crowd: what is to be seen of it may be hard to name.

    Args:
        boxes: in pixels of the image.
        part: left, top, right and bottom.
    """
    found = []
    for box in boxes:
        left, top = max(box.left, part[0]), max(box.top, part[1])
        right, bottom = min(box.right, part[2]), min(box.bottom, part[3])
        if right <= left or bottom <= top:
            continue
        share = (right - left) * (bottom - top) / ((box.right - box.left) * (box.bottom - box.top))
        crowd = box.crowd or share < LEAST_SHARE
        found.append(Box(left - part[0], top - part[1], right - part[0], bottom - part[1], box.label, crowd))
    return found
