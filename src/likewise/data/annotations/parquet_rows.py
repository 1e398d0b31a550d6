"""Parquet files with an image in each row, and its mask or boxes in other columns, as Hugging Face's data sets have.

A mask is a picture. Boxes are a list of records, or a record of lists (`objects`), or two columns of lists; each has
four edges and a class.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from likewise.console import one_line
from likewise.data import pictures, tables
from likewise.data.annotations.annotation import (
    BACKGROUND,
    MOST_CLASSES,
    AnnotatedImage,
    AnnotationError,
    Annotations,
    Box,
    ParquetRow,
)
from likewise.data.annotations.class_names import class_names
from likewise.data.annotations.layout import AnnotationLayout
from likewise.data.content import AnyFile, Content
from likewise.data.files import printable
from likewise.data.parquet_shards import IMAGE, MOST_GROUP, NAMES, read_rows
from likewise.data.source import natural_sort
from likewise.data.stores import Shard, shards_in
from likewise.errors import UserError

IMAGES = (*NAMES[IMAGE], "pixel_values")
MASKS = ("mask", "masks", "annotation", "annotations", "label", "labels", "segmentation", "segmentation_mask", "gt")
OBJECTS = ("objects", "annotations", "annotation", "instances", "objs")
EDGES = ("bbox", "bboxes", "boxes", "box")
LABELS = ("category", "categories", "label", "labels", "class", "classes", "class_label", "category_id", "name")
CROWDS = ("iscrowd", "is_crowd")
FORMAT = "Parquet"
JUDGED = 256
"""Rows with boxes by which it is decided what their four numbers are."""
Values = Mapping[str, Any]


class BoxFields(NamedTuple):
    """Where the boxes of a row are."""

    record: str | None
    """The column of records; None where edges and classes are columns of their own."""
    edges: str
    label: str
    crowd: str | None


class Things(NamedTuple):
    """What a row says of the things in its image."""

    row: ParquetRow
    name: str
    """Of the row, for people and as the path of its image."""
    edges: list[Any]
    labels: list[Any]
    crowds: list[Any]
    size: tuple[int, int] | None
    """Width and height of the image, where columns say them."""


def read_mask_rows(layout: AnnotationLayout) -> Annotations:
    """The images in the rows of Parquet files, each with a picture of its mask in another column.

    Raises:
        UserError: for a file of class names that cannot be used.
    """
    skipped: list[tuple[str, str]] = []
    rows = [things for opened in _files(layout, skipped) for things in _rows(opened, None, skipped)]
    classes = class_names(layout.names) if layout.names is not None else []
    return Annotations(
        layout.root, FORMAT, classes, [AnnotatedImage(each.name, row=each.row) for each in rows], skipped
    )


def read_box_rows(layout: AnnotationLayout) -> Annotations:
    """The images in the rows of Parquet files, each with its boxes in other columns.

    Edges are left, top, width and height, as COCO has them, unless more boxes lie inside of their images as left, top,
    right and bottom. Classes that are numbers have the names that Hugging Face's `datasets` wrote into the file.

    Raises:
        UserError: for more labels than classes can be.
    """
    skipped: list[tuple[str, str]] = []
    names: list[str] = []
    rows: list[Things] = []
    for opened in _files(layout, skipped):
        fields = _box_fields(opened.file.schema_arrow)
        if fields is None:
            skipped.append((opened.name, "without columns of boxes"))
            continue
        names = names or _class_names(opened.file.schema_arrow, fields)
        rows += _rows(opened, fields, skipped)
    corners = _are_corners(rows)
    boxes = [list(_boxes(each, names, corners, skipped)) for each in rows]
    classes = [BACKGROUND, *(names or natural_sort({name for some in boxes for name, _ in some}))]
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{layout.images} must name fewer than {MOST_CLASSES} classes, it names {len(classes) - 1:,}")
    place = {name: number for number, name in enumerate(classes)}
    images = [
        AnnotatedImage(each.name, tuple(box._replace(label=place[name]) for name, box in some), row=each.row)
        for each, some in zip(rows, boxes, strict=True)
    ]
    note = f"edges of boxes are taken for left, top, {'right and bottom' if corners else 'width and height'}"
    return Annotations(layout.root, FORMAT, classes, images, skipped, [note])


def contents_of(image: AnnotatedImage) -> tuple[AnyFile, AnyFile | None]:
    """The image and the mask of a row; rows of one file are read fastest in their order.

    Raises:
        UserError: for a file that has changed.
    """
    row = image.row
    assert row is not None
    mask = None if row.mask is None else _content(image.path, row, row.mask)
    return _content(image.path, row, row.image), mask


def _content(name: str, row: ParquetRow, column: str) -> Content:
    (content,) = read_rows(row.shard, [(row.group, row.number)], column)
    return Content(name, content)


class OpenedFile(NamedTuple):
    """A Parquet file with images."""

    file: Any
    shard: Shard
    name: str
    """From the root of the layout."""
    image: str
    mask: str | None
    """The columns of images and masks."""


def _files(layout: AnnotationLayout, skipped: list[tuple[str, str]]) -> Iterator[OpenedFile]:
    """The files that have a column of images, one after the other."""
    assert layout.parquet is not None
    for path in layout.parquet:
        (shard,) = shards_in(path)
        name = printable(path.relative_to(layout.root).as_posix())
        try:
            opened = pa.parquet.ParquetFile(path)
        except (pa.ArrowException, ValueError, OSError) as error:
            skipped.append((name, f"cannot be read as a Parquet file: {one_line(str(error))[:200]}"))
            continue
        with opened:
            files = [field.name for field in opened.schema_arrow if tables.holds_bytes(field.type)]
            image = next(iter(tables.usual_columns(files, IMAGES) or files), None)
            if image is None:
                skipped.append((name, "without a column of images"))
                continue
            others = [column for column in files if column != image]
            mask = next(iter(tables.usual_columns(others, MASKS)), others[0] if len(others) == 1 else None)
            yield OpenedFile(opened, shard, name, image, mask)


def _box_fields(schema: pa.Schema) -> BoxFields | None:
    for name in tables.usual_columns(schema.names, OBJECTS):
        kind = schema.field(name).type
        record = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
        if pa.types.is_struct(record):
            fields = list(record) if record is not kind else _lists(record)
            if found := _fields([field.name for field in fields]):
                return BoxFields(name, *found)
    found = _fields([field.name for field in _lists(schema)])
    return None if found is None else BoxFields(None, *found)


def _lists(fields: Iterable[pa.Field]) -> list[pa.Field]:
    """Those of several values, one for each thing."""
    return [field for field in fields if pa.types.is_list(field.type) or pa.types.is_large_list(field.type)]


def _fields(names: Sequence[str]) -> tuple[str, str, str | None] | None:
    edges, labels, crowds = (tables.usual_columns(names, usual) for usual in (EDGES, LABELS, CROWDS))
    return (edges[0], labels[0], crowds[0] if crowds else None) if edges and labels else None


def _class_names(schema: pa.Schema, fields: BoxFields) -> list[str]:
    """The names of numbered classes, as Hugging Face's `datasets` writes them; [] where it has not."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = features if fields.record is None else features[fields.record]
        while isinstance(found, list) or fields.label not in found:
            found = found[0] if isinstance(found, list) else found["feature"]
        found = found[fields.label]
        while "names" not in found:
            found = found[0] if isinstance(found, list) else found["feature"]
        names = [str(name) for name in found["names"]]
        return names if len(set(names)) == len(names) and BACKGROUND not in names else []
    return []


def _rows(opened: OpenedFile, fields: BoxFields | None, skipped: list[tuple[str, str]]) -> Iterator[Things]:
    """What each row of a file says."""
    asked = ("width", "height", *(fields or ()))
    small = [name for name in opened.file.schema_arrow.names if name in asked]
    number = 0
    for group in range(opened.file.num_row_groups):
        about = opened.file.metadata.row_group(group)
        first, number = number, number + about.num_rows
        rows = f"{opened.name}/rows {first + 1:,} to {number:,}"
        if about.total_byte_size > MOST_GROUP:
            skipped.append((rows, f"a row group of more than {MOST_GROUP:,} bytes"))
            continue
        try:
            no_image, no_mask = (_missing(opened, group, column) for column in (opened.image, opened.mask))
            said = opened.file.read_row_group(group, columns=small).to_pylist() if small else [{}] * about.num_rows
        except (pa.ArrowException, OSError) as error:
            skipped.append((rows, one_line(str(error))[:200]))
            continue
        for row, values in enumerate(said):
            name = f"{opened.name}/row {first + row + 1}"
            if no_image[row]:
                skipped.append((name, "without an image"))
                continue
            place = ParquetRow(opened.shard, group, row, opened.image, None if no_mask[row] else opened.mask)
            yield Things(place, name, *_things(values, fields), _size(values))


def _missing(opened: OpenedFile, group: int, column: str | None) -> list[bool]:
    """Whether the rows of a group have nothing in a column."""
    if column is None:
        return [True] * opened.file.metadata.row_group(group).num_rows
    found: list[bool] = opened.file.read_row_group(group, columns=[column])[0].is_null().to_pylist()
    return found


def _things(values: Values, fields: BoxFields | None) -> tuple[list[Any], list[Any], list[Any]]:
    """The edges, classes and crowds of a row, as they are written."""
    if fields is None:
        return [], [], []
    found = values if fields.record is None else values[fields.record]
    keys = (fields.edges, fields.label, fields.crowd or "")
    if isinstance(found, list):
        edges, labels, crowds = ([each.get(key) if each else None for each in found] for key in keys)
    else:
        edges, labels, crowds = (list((found or {}).get(key) or []) for key in keys)
    return edges, labels, crowds or [None] * len(edges)


def _size(values: Values) -> tuple[int, int] | None:
    width, height = values.get("width"), values.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _are_corners(found: Sequence[Things]) -> bool:
    """Whether more boxes are inside of their images as left, top, right, bottom than as left, top, width, height."""
    corners = sizes = 0
    for things in islice((things for things in found if things.edges), JUDGED):
        size = things.size or _size_in_file(things)
        if size is None:
            continue
        for edges in things.edges:
            if _four(edges):
                left, top, third, fourth = edges
                corners += left < third <= size[0] + 1 and top < fourth <= size[1] + 1
                sizes += 0 < third <= size[0] + 1 - left and 0 < fourth <= size[1] + 1 - top
    return corners > sizes


def _size_in_file(things: Things) -> tuple[int, int] | None:
    """Width and height of an image as its file says them, None where it cannot be read."""
    with suppress(Exception), pictures.quietly():
        picture = pictures.opened(_content(things.name, things.row, things.row.image))
        if picture is not None:
            with picture:
                return picture.size
    return None


def _boxes(
    things: Things, names: Sequence[str], corners: bool, skipped: list[tuple[str, str]]
) -> Iterator[tuple[str, Box]]:
    """The boxes of a row with the names of their classes."""
    if not len(things.edges) == len(things.labels) == len(things.crowds):
        skipped.append((things.name, f"{len(things.edges)} boxes, but {len(things.labels)} classes or other crowds"))
        return
    for place, (edges, label, crowd) in enumerate(zip(things.edges, things.labels, things.crowds, strict=True)):
        try:
            if not _four(edges):
                raise AnnotationError("a box must be four numbers")
            left, top, third, fourth = map(float, edges)
            right, bottom = (third, fourth) if corners else (left + third, top + fourth)
            yield _named(label, names), Box(left, top, right, bottom, 0, bool(crowd))
        except AnnotationError as error:
            skipped.append((f"{things.name}: box {place + 1}", str(error)))


def _named(label: Any, names: Sequence[str]) -> str:
    """The class of a box in words."""
    if isinstance(label, int) and names:
        if not 0 <= label < len(names):
            raise AnnotationError(f"class {label} is none of {len(names)}")
        return names[label]
    name = "" if label is None else str(label).strip()
    if not name or name == BACKGROUND or (names and name not in names):
        raise AnnotationError(f"class {name[:60]!r} is none of the classes" if name else "without a class")
    return name


def _four(edges: Any) -> bool:
    return isinstance(edges, list) and len(edges) == 4 and all(isinstance(edge, int | float) for edge in edges)
