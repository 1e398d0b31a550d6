"""YOLO's text: a file for each image, a line for each thing, in shares of the image's width and height."""

from __future__ import annotations

import math

from likewise.data.annotations.annotation import (
    BACKGROUND,
    MOST_CLASSES,
    AnnotatedImage,
    AnnotationError,
    Annotations,
    Box,
    Outline,
)
from likewise.data.annotations.class_names import class_names
from likewise.data.annotations.layout import NAMES, AnnotationLayout, read_text
from likewise.data.annotations.masks import images_of, prefix, stem
from likewise.data.files import printable, scan
from likewise.errors import UserError

LARGEST_TEXT = 2**24


def read_yolo(layout: AnnotationLayout) -> Annotations:
    """The images that have a text file of their name. Class 0 is the background, YOLO's class 0 is class 1.

    A line is a class and the box, as its middle, width and height; or a class and the corners of an outline.

    Raises:
        UserError: for a class that the file of names does not have.
    """
    assert layout.yolo is not None
    images, skipped = images_of(layout)
    files, unreadable = scan(layout.yolo, (".txt",))
    before = prefix(layout.root, layout.yolo)
    skipped += [(before + printable(file), why) for file, why in unreadable]
    found: dict[str, tuple[list[Box], list[Outline]]] = {}
    for file in files:
        name, where = stem(file.id), before + printable(file.id)
        if name not in images:
            if file.id.lower() not in NAMES:
                skipped.append((where, "annotations without an image of their name"))
            continue
        try:
            boxes, outlines, faults = things_of(read_text(layout.yolo / file.id, LARGEST_TEXT))
        except (OSError, ValueError) as error:
            skipped.append((where, " ".join(str(error).split()) or type(error).__name__))
            continue
        found[name] = boxes, outlines
        skipped += [(f"{where}: line {line}", why) for line, why in faults]
    # An image without a file has nothing in it only where somebody says so: by an empty file.
    skipped += [(printable(path), "image without annotations") for name, path in images.items() if name not in found]
    labels = [box.label for boxes, _ in found.values() for box in boxes]
    classes = _classes(layout, max(labels, default=0))
    any_outline = any(outlines for _, outlines in found.values())
    annotated = [
        AnnotatedImage(images[name], tuple(boxes), tuple(outlines) if any_outline else None, shares=True)
        for name, (boxes, outlines) in found.items()
    ]
    return Annotations(layout.root, "YOLO", classes, annotated, skipped)


def things_of(text: str) -> tuple[list[Box], list[Outline], list[tuple[int, str]]]:
    """The boxes and outlines of a file, and (line, reason) of what cannot be used."""
    boxes, outlines, faults = [], [], []
    for line, words in enumerate(map(str.split, text.splitlines()), start=1):
        if not words:
            continue
        try:
            box, outline = _thing(words)
        except AnnotationError as error:
            faults.append((line, str(error)))
            continue
        boxes.append(box)
        if outline is not None:
            outlines.append(outline)
    return boxes, sorted(outlines, key=lambda outline: -_area(outline)), faults


def _thing(words: list[str]) -> tuple[Box, Outline | None]:
    try:
        number, *places = (float(word) for word in words)
    except ValueError:
        raise AnnotationError("a line must be numbers: a class, and a box or an outline") from None
    if not all(map(math.isfinite, (number, *places))):
        raise AnnotationError("a number that is not finite")
    if number != int(number) or not 0 <= number < MOST_CLASSES - 1:
        raise AnnotationError(f"class {words[0][:20]} must be a whole number from 0 to {MOST_CLASSES - 2}")
    label = int(number) + 1
    if len(places) == 4:
        x, y, wide, high = places
        return Box(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, label), None
    if len(places) < 6 or len(places) % 2:
        raise AnnotationError(f"{len(places)} numbers after the class: a box has 4, an outline 6 or more")
    if max(map(abs, places)) > 2:
        raise AnnotationError("outline in pixels, where shares of the image are expected")
    left, top, right, bottom = min(places[::2]), min(places[1::2]), max(places[::2]), max(places[1::2])
    return Box(left, top, right, bottom, label), Outline(label, (tuple(places),))


def _area(outline: Outline) -> float:
    """Of a polygon, by the shoelace formula."""
    (points,) = outline.polygons
    corners = list(zip(points[::2], points[1::2], strict=True))
    return abs(sum(a * d - b * c for (a, b), (c, d) in zip(corners, [*corners[1:], corners[0]], strict=True))) / 2


def _classes(layout: AnnotationLayout, most: int) -> list[str]:
    names = [str(number) for number in range(most)] if layout.names is None else class_names(layout.names)
    if most > len(names):
        raise UserError(f"{layout.names} must name each class, got {len(names)} names and the class {most - 1}")
    if len(names) >= MOST_CLASSES:
        raise UserError(f"{layout.names} must name fewer than {MOST_CLASSES} classes, it names {len(names):,}")
    return [BACKGROUND, *names]
