"""COCO's JSON: images, categories, and annotations with boxes and outlines (polygons or run lengths)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.data.annotations.annotation import (
    BACKGROUND,
    MOST_CLASSES,
    AnnotatedImage,
    AnnotationError,
    Annotations,
    Box,
    Outline,
)
from likewise.data.annotations.layout import AnnotationLayout, read_json
from likewise.data.annotations.masks import prefix
from likewise.data.annotations.regions import run_lengths
from likewise.data.files import printable
from likewise.errors import UserError

LARGEST_AREA = float("inf")


def read_coco(layout: AnnotationLayout) -> Annotations:
    """The images that a JSON file names, with all that it says of them.

    Class 0 is the background; the others are the categories in the order of their ids. Large regions are drawn before
    small ones.

    Raises:
        UserError: for what is no such file.
    """
    assert layout.coco is not None
    path = layout.coco
    found = read_json(path)
    images, categories, annotations = (_list(found, name, path) for name in ("images", "categories", "annotations"))
    names = _categories(categories, path)
    number = {id: place for place, id in enumerate(names, start=1)}
    skipped: list[tuple[str, str]] = []
    parts: dict[Any, tuple[list[Box], list[tuple[float, Outline]]]] = {}
    for place, annotation in enumerate(annotations):
        try:
            image, box, outline = _read(annotation, number)
        except AnnotationError as error:
            skipped.append((f"{path.name}: annotations[{place}]", str(error)))
            continue
        boxes, outlines = parts.setdefault(image, ([], []))
        if box is not None:
            boxes.append(box)
        if outline is not None:
            outlines.append((_area(annotation), outline))
    any_outline = any(outlines for _, outlines in parts.values())
    annotated = []
    seen: set[Any] = set()
    for place, image in enumerate(images):
        try:
            id, file = _image(image, layout)
        except AnnotationError as error:
            skipped.append((f"{path.name}: images[{place}]", str(error)))
            continue
        if id in seen:
            skipped.append((f"{path.name}: images[{place}]", f"a second image of id {id}"))
            continue
        seen.add(id)
        boxes, outlines = parts.get(id, ([], []))
        largest_first = tuple(outline for _, outline in sorted(outlines, key=lambda each: -each[0]))
        annotated.append(AnnotatedImage(file, tuple(boxes), largest_first if any_outline else None))
    lost = sum(len(boxes) or len(outlines) for id, (boxes, outlines) in parts.items() if id not in seen)
    if lost:
        skipped.append((path.name, f"{lost:,} annotations of images that are not in its list of images"))
    return Annotations(layout.root, "COCO", [BACKGROUND, *names.values()], annotated, skipped)


class CocoIds(NamedTuple):
    """The numbers that files of COCO's kind have for images and classes."""

    images: dict[str, int]
    classes: dict[str, int]


def coco_ids(layout: AnnotationLayout, folder: Path, files: Sequence[str], classes: Sequence[str]) -> CocoIds:
    """The numbers of images and classes: those of the folder's own file of COCO's kind, or new ones from 1 on.

    Args:
        layout: of the folder.
        folder: that the paths of images are told from.
        files: the images.
        classes: their names.

    Raises:
        UserError: for a file that is no JSON of COCO's.
    """
    images: dict[str, int] = {}
    numbers: dict[str, int] = {}
    if layout.coco is not None:
        found = read_json(layout.coco)
        known = _categories(_list(found, "categories", layout.coco), layout.coco)
        numbers = {name: id for id, name in known.items()}
        for image in _list(found, "images", layout.coco):
            try:
                id, path = _image(image, layout)
            except AnnotationError:
                continue  # it cannot be read either
            if type(id) is int and (layout.root / path).is_relative_to(folder):
                images.setdefault((layout.root / path).relative_to(folder).as_posix(), id)
    return CocoIds(_numbered(images, files), _numbered(numbers, classes))


def _numbered(known: dict[str, int], names: Sequence[str]) -> dict[str, int]:
    """The numbers of all names; those that have none get the next ones."""
    number = max([0, *known.values()])
    for name in names:
        if name not in known:
            number += 1
            known[name] = number
    return known


def _list(found: Any, name: str, path: Path) -> list[Any]:
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, list):
        raise UserError(f"{path} must have a list {name!r}, as COCO's files do")
    return value


def _categories(categories: list[Any], path: Path) -> dict[int, str]:
    """Name by id, by id."""
    named: dict[int, str] = {}
    for place, category in enumerate(categories):
        id, name = (category.get("id"), category.get("name")) if isinstance(category, dict) else (None, None)
        if type(id) is not int or not isinstance(name, str) or id in named:
            raise UserError(f"{path} must give each category an id of its own and a name, categories[{place}] has not")
        named[id] = name
    if len(named) >= MOST_CLASSES:
        raise UserError(f"{path} must have fewer than {MOST_CLASSES} categories, it has {len(named):,}")
    return {id: named[id] for id in sorted(named)}


def _image(image: Any, layout: AnnotationLayout) -> tuple[Any, str]:
    """The id of an image and its path from the root."""
    id, name = (image.get("id"), image.get("file_name")) if isinstance(image, dict) else (None, None)
    if not isinstance(id, int | str) or not isinstance(name, str) or not name:
        raise AnnotationError("without an id and a file_name")
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise AnnotationError(f"file_name {name[:60]!r} leads out of the folder")
    for folder in (layout.images, layout.root):
        if (folder / name).is_file():
            return id, prefix(layout.root, folder) + Path(name).as_posix()
    raise AnnotationError(f"no file {printable(name)}")


def _read(annotation: Any, number: Mapping[int, int]) -> tuple[Any, Box | None, Outline | None]:
    """The image of an annotation, its box and its outline."""
    if not isinstance(annotation, dict):
        raise AnnotationError("no object")
    image, category = annotation.get("image_id"), annotation.get("category_id")
    if not isinstance(image, int | str):
        raise AnnotationError("without an image_id")
    if type(category) is not int or category not in number:
        raise AnnotationError(f"category_id {str(category)[:20]} is none of the categories")
    label = number[category]
    box = outline = None
    if (edges := annotation.get("bbox")) is not None:
        if not (isinstance(edges, list) and len(edges) == 4 and all(map(_is_number, edges))):
            raise AnnotationError("bbox must be four numbers: x, y, width, height")
        left, top, wide, high = (float(edge) for edge in edges)
        box = Box(left, top, left + wide, top + high, label, bool(annotation.get("iscrowd")))
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        outline = Outline(label, runs=run_lengths(segmentation))
    elif isinstance(segmentation, list) and segmentation:
        if not all(isinstance(polygon, list) and all(map(_is_number, polygon)) for polygon in segmentation):
            raise AnnotationError("segmentation must be polygons, lists of numbers, or run lengths")
        outline = Outline(label, tuple(tuple(map(float, polygon)) for polygon in segmentation))
    if box is None and outline is None:
        raise AnnotationError("neither bbox nor segmentation")
    return image, box, outline


def _area(annotation: dict[str, Any]) -> float:
    """What an outline is sorted by; one whose area nobody says is drawn first."""
    area: Any = annotation.get("area")
    if _is_number(area):
        return float(area)
    edges = annotation.get("bbox")
    return float(edges[2] * edges[3]) if edges else LARGEST_AREA


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
