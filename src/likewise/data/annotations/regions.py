"""Outlines of one image as a class for each pixel: polygons and run lengths, as COCO has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from likewise.data.annotations.annotation import AnnotationError, Outline, RunLengths

FARTHEST = 2.0
"""Widths and heights of the image that a corner may be from its edges."""
MOST_BITS = 40  # of a run length in a text


def class_map(
    outlines: Sequence[Outline], width: int, height: int, *, shares: bool = False
) -> tuple[UInt8[np.ndarray, "{height} {width}"], list[tuple[int, str]]]:
    """The class of each pixel, 0 outside of all outlines, and which outlines could not be drawn, with the reason.

    Outlines are drawn in their order: where two overlap, the later one counts.

    Args:
        outlines: as files say them.
        width, height: of the image, which bounds what is drawn.
        shares: whether polygons are in shares of width and height.
    """
    drawn = np.zeros((height, width), dtype=np.uint8)
    faults = []
    for place, outline in enumerate(outlines):
        try:
            drawn[region(outline, width, height, shares=shares)] = outline.label
        except AnnotationError as error:
            faults.append((place, str(error)))
    return drawn, faults


def region(outline: Outline, width: int, height: int, *, shares: bool = False) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels of an outline: those inside any of its polygons, or inside of its runs.

    Raises:
        AnnotationError: for run lengths of another image, or a polygon that is none, far outside or empty.
    """
    if outline.runs is not None:
        return inside_runs(outline.runs, width, height)
    found = np.zeros((height, width), dtype=bool)
    for polygon in outline.polygons:
        found |= inside_polygon(corners(polygon, width, height, shares=shares), width, height)
    if not found.any():
        raise AnnotationError("outline around no pixel of the image")
    return found


def corners(polygon: Sequence[float], width: int, height: int, *, shares: bool) -> list[tuple[float, float]]:
    """The corners of a polygon in pixels."""
    if len(polygon) < 6 or len(polygon) % 2:
        raise AnnotationError(f"polygon of {len(polygon)} numbers: x and y of three corners or more are needed")
    if not all(math.isfinite(number) for number in polygon):
        raise AnnotationError("polygon with a corner that is no number")
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    if shares:
        points = [(x * width, y * height) for x, y in points]
    if any(abs(x) > FARTHEST * width + 1 or abs(y) > FARTHEST * height + 1 for x, y in points):
        raise AnnotationError(f"polygon far outside the image of {width} x {height} pixels")
    return points


def inside_polygon(
    points: Sequence[tuple[float, float]], width: int, height: int
) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels whose middle is inside, by the even-odd rule."""
    crossed = np.zeros((height, width + 1), dtype=np.int64)
    middles = np.arange(height) + 0.5
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        rows = np.flatnonzero((y0 <= middles) != (y1 <= middles))
        if len(rows):
            crossing = x0 + (middles[rows] - y0) * ((x1 - x0) / (y1 - y0))
            np.add.at(crossed, (rows, np.ceil(crossing - 0.5).clip(0, width).astype(np.int64)), 1)
    return (crossed.cumsum(1) % 2 == 1)[:, :width]


def inside_runs(runs: RunLengths, width: int, height: int) -> Bool[np.ndarray, "{height} {width}"]:
    """The pixels inside of COCO's run lengths."""
    if (runs.width, runs.height) != (width, height):
        raise AnnotationError(f"run lengths of {runs.width} x {runs.height} pixels, the image has {width} x {height}")
    if min(runs.counts, default=0) < 0 or sum(runs.counts) != width * height:
        raise AnnotationError(f"run lengths of {sum(runs.counts):,} pixels, the image has {width * height:,}")
    inside = np.arange(len(runs.counts)) % 2 == 1
    return np.repeat(inside, np.array(runs.counts, dtype=np.int64)).reshape(width, height).T


def counts_of(text: str) -> tuple[int, ...]:
    """The run lengths in COCO's text form.

    A letter has 5 bits of a number, and says whether more follow. From the fourth number on they are differences to the
    last but one.

    Raises:
        AnnotationError: for a text that is none.
    """
    counts: list[int] = []
    letters = iter(text)
    for letter in letters:
        value, bits, more = 0, 0, True
        while more:
            code = ord(letter) - 48
            if not 0 <= code < 64:
                raise AnnotationError(f"run lengths with the letter {letter!r}")
            value |= (code & 31) << bits
            bits, more = bits + 5, bool(code & 32)
            if more and (letter := next(letters, "")) == "":
                raise AnnotationError("run lengths that end in the middle of a number")
            if bits > MOST_BITS:
                raise AnnotationError("run lengths with a number that is too large")
        if code & 16:
            value -= 1 << bits
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return tuple(counts)


def run_lengths(found: Any) -> RunLengths:
    """The run lengths of an annotation's JSON, as a list or as a text.

    Raises:
        AnnotationError: for anything else.
    """
    counts, size = (found.get("counts"), found.get("size")) if isinstance(found, dict) else (None, None)
    if isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size):
        if isinstance(counts, str):
            return RunLengths(counts_of(counts), size[1], size[0])
        if isinstance(counts, list) and all(type(count) is int for count in counts):
            return RunLengths(tuple(counts), size[1], size[0])
    raise AnnotationError("run lengths without counts and size")
