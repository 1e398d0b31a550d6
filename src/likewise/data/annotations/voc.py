"""Pascal VOC's XML: a file for each image, with a box and a name for each thing in it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from likewise.data.annotations.annotation import (
    BACKGROUND,
    MOST_CLASSES,
    AnnotatedImage,
    AnnotationError,
    Annotations,
    Box,
)
from likewise.data.annotations.layout import AnnotationLayout, read_text
from likewise.data.annotations.masks import images_of, prefix, stem
from likewise.data.files import printable, scan
from likewise.data.source import natural_sort
from likewise.errors import UserError

LARGEST_XML = 2**24


def read_voc(layout: AnnotationLayout) -> Annotations:
    """The images that have an XML file of their name; class 0 is the background, the others are the names in it.

    A box is from the first to the last pixel, counted from 1: `xmin` 1 and `xmax` 10 are ten pixels.

    Raises:
        UserError: where there are more names than classes can be.
    """
    assert layout.voc is not None
    images, skipped = images_of(layout)
    files, unreadable = scan(layout.voc, (".xml",))
    before = prefix(layout.root, layout.voc)
    skipped += [(before + printable(file), why) for file, why in unreadable]
    named: dict[str, list[tuple[str, Box]]] = {}
    for file in files:
        name, where = stem(file.id), before + printable(file.id)
        if name not in images:
            skipped.append((where, "annotations without an image of their name"))
            continue
        try:
            named[name], faults = things_in(layout.voc / file.id)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            skipped.append((where, " ".join(str(error).split()) or type(error).__name__))
            continue
        skipped += [(f"{where}: object {place}", why) for place, why in faults]
    skipped += [(printable(path), "image without annotations") for name, path in images.items() if name not in named]
    classes = [BACKGROUND, *natural_sort({name for boxes in named.values() for name, _ in boxes})]
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{layout.voc} must name fewer than {MOST_CLASSES} classes, it names {len(classes) - 1:,}")
    number = {name: place for place, name in enumerate(classes)}
    annotated = [
        AnnotatedImage(images[name], tuple(box._replace(label=number[thing]) for thing, box in boxes))
        for name, boxes in named.items()
    ]
    return Annotations(layout.root, "Pascal VOC", classes, annotated, skipped)


def things_in(path: Path) -> tuple[list[tuple[str, Box]], list[tuple[int, str]]]:
    """(name, box) of each object in an XML file, and which cannot be used, with the reason.

    Raises:
        UserError, ValueError, ElementTree.ParseError: for what is no such file. One that declares entities, which could
            become gigabytes, is not parsed.
    """
    text = read_text(path, LARGEST_XML)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError("XML with declarations, which are not read")
    tree = ElementTree.fromstring(text)
    found, faults = [], []
    for place, thing in enumerate(tree.iter("object")):
        try:
            found.append(_thing(thing))
        except AnnotationError as error:
            faults.append((place, str(error)))
    return found, faults


def _thing(thing: ElementTree.Element) -> tuple[str, Box]:
    name = (thing.findtext("name") or "").strip()
    if not name or name == BACKGROUND:
        raise AnnotationError("without a name")
    try:
        edges = [float(thing.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax")]
    except ValueError:
        raise AnnotationError("without the four numbers of a bndbox") from None
    left, top, right, bottom = edges
    if max(edges) > 1:  # else they are shares, of which the check of the box tells
        left, top = left - 1, top - 1
    return name, Box(left, top, right, bottom, 0)
