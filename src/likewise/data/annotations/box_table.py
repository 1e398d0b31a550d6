"""A table of boxes (.csv, .tsv, .jsonl, .parquet): a row for each thing, with its file, edges and class."""

from __future__ import annotations

from collections.abc import Sequence

from likewise.data import tables
from likewise.data.annotations.annotation import (
    BACKGROUND,
    MOST_CLASSES,
    AnnotatedImage,
    AnnotationError,
    Annotations,
    Box,
)
from likewise.data.annotations.box_columns import box_columns
from likewise.data.annotations.layout import AnnotationLayout
from likewise.data.annotations.masks import images_of, prefix
from likewise.data.file_tables import KnownFiles
from likewise.data.files import printable
from likewise.data.source import natural_sort
from likewise.errors import UserError


def read_box_table(layout: AnnotationLayout) -> Annotations:
    """The images that a table names; class 0 is the background, the others are the labels in it.

    A row with a file and nothing else is an image in which nothing is.

    Raises:
        UserError: for a table that cannot be read, or where there are more labels than classes can be.
    """
    assert layout.table is not None
    path = layout.table
    table = tables.read_table(path)
    columns = box_columns(table.column_names)
    assert columns is not None  # else it is none of the layout
    images, skipped = images_of(layout)
    before = prefix(layout.root, layout.images)
    known = KnownFiles(layout.images, [image.removeprefix(before) for image in images.values()])
    values = (
        tables.Texts(tables.text_of(table, name, where=path)) for name in (columns.file, columns.label, *columns.edges)
    )
    named: dict[str, list[tuple[str, Box]]] = {}
    for number, (file, label, *edges) in enumerate(zip(*values, strict=True), start=1):
        try:
            image = _image(known, file, layout)
            things = named.setdefault(image, [])
            if label.strip() or any(edge.strip() for edge in edges):
                things.append(_thing(label, edges, sized=columns.sized))
        except AnnotationError as error:
            skipped.append((f"{path.name}: row {number:,}", str(error)))
    there = {before + image for image in named}
    skipped += [(printable(image), "image without annotations") for image in images.values() if image not in there]
    classes = [BACKGROUND, *natural_sort({name for things in named.values() for name, _ in things})]
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{path} must name fewer than {MOST_CLASSES} classes, it names {len(classes) - 1:,}")
    place = {name: number for number, name in enumerate(classes)}
    annotated = [
        AnnotatedImage(before + image, tuple(box._replace(label=place[name]) for name, box in things))
        for image, things in named.items()
    ]
    return Annotations(layout.root, "table", classes, annotated, skipped)


def _image(known: KnownFiles, value: str, layout: AnnotationLayout) -> str:
    """The image that a row is about, from the folder of images."""
    assert layout.table is not None
    found = known.find(value, layout.table.parent)
    if not found:
        raise AnnotationError(f"no image {printable(value)}" if value.strip() else "without a file")
    if len(found) > 1:
        raise AnnotationError(f"{printable(value)} could be {printable(found[0])} or {printable(found[1])}")
    return found[0]


def _thing(label: str, edges: Sequence[str], *, sized: bool) -> tuple[str, Box]:
    name = label.strip()
    if not name or name == BACKGROUND:
        raise AnnotationError("without a label")
    try:
        left, top, right, bottom = (float(edge) for edge in edges)
    except ValueError:
        raise AnnotationError(f"edges must be four numbers, got {printable(', '.join(edges)[:60])}") from None
    if sized:
        right, bottom = left + right, top + bottom
    return name, Box(left, top, right, bottom, 0)
