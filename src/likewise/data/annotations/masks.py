"""Masks as image files: a PNG of the image's name, grey or with a palette, a class number for each pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from likewise.data import endings
from likewise.data.annotations.annotation import IGNORE, AnnotatedImage, AnnotationError, Annotations
from likewise.data.annotations.class_names import class_names
from likewise.data.annotations.layout import AnnotationLayout
from likewise.data.content import AnyFile, readable
from likewise.data.files import printable, scan

MASK_FORMATS = ("PNG", "BMP", "TIFF", "GIF", "WEBP")  # those that keep each number
NUMBERED = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")


def read_masks(layout: AnnotationLayout) -> Annotations:
    """The images that have a mask of their name."""
    assert layout.masks is not None
    images, skipped = images_of(layout)
    masks, unreadable = scan(layout.masks, endings.IMAGES)
    before = prefix(layout.root, layout.masks)
    by_stem = {stem(mask.id): before + mask.id for mask in masks}
    skipped += [(before + printable(file), why) for file, why in unreadable]
    found = []
    for name, path in images.items():
        if name in by_stem:
            found.append(AnnotatedImage(path, mask=by_stem[name]))
        else:
            skipped.append((printable(path), "image without a mask of its name"))
    skipped += [
        (printable(path), "mask without an image of its name") for name, path in by_stem.items() if name not in images
    ]
    names = class_names(layout.names) if layout.names is not None else []
    return Annotations(layout.root, "masks", names, found, skipped)


def images_of(layout: AnnotationLayout) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The image files by their names without ending, as paths from the root; and what could not be looked into."""
    files, unreadable = scan(layout.images, endings.IMAGES)
    before = prefix(layout.root, layout.images)
    skipped = [(before + printable(file), why) for file, why in unreadable]
    if layout.masks is not None and layout.masks.is_relative_to(layout.images):
        inside = prefix(layout.images, layout.masks)
        files = [file for file in files if not file.id.startswith(inside)]
    found: dict[str, str] = {}
    for file in files:
        if stem(file.id) in found:
            skipped.append((before + printable(file.id), f"as {found[stem(file.id)]}, but for the ending"))
        else:
            found[stem(file.id)] = before + file.id
    return found, skipped


def prefix(root: Path, folder: Path) -> str:
    """What paths in a folder begin with, from `root`."""
    below = folder.relative_to(root).as_posix()
    return "" if below == "." else f"{below}/"


def stem(path: str) -> str:
    """A path without its ending."""
    head, slash, name = path.rpartition("/")
    return head + slash + (name.rpartition(".")[0] or name)


def decoded_mask(path: AnyFile, width: int, height: int) -> UInt8[np.ndarray, "{height} {width}"]:
    """The class of each pixel.

    Args:
        path: of the mask.
        width, height: of its image; no mask of another size is decoded.

    Raises:
        AnnotationError: for a mask of another size, of colours, or with numbers that are no classes.
        Exception: what Pillow raises for a file that is damaged or none.
    """
    with Image.open(readable(path), formats=MASK_FORMATS) as mask:
        if mask.size != (width, height):
            raise AnnotationError(f"mask of {mask.width} x {mask.height} pixels, the image has {width} x {height}")
        if mask.mode not in NUMBERED:
            raise AnnotationError(
                f"mask of colours ({mask.mode}): save it grey or with a palette, a number for a class"
            )
        numbers = np.asarray(mask)
    if numbers.dtype == bool or numbers.dtype == np.uint8:
        return numbers.astype(np.uint8)
    if numbers.min() < 0 or numbers.max() > IGNORE:
        raise AnnotationError(
            f"mask with numbers from {numbers.min()} to {numbers.max()}: classes are 0 to {IGNORE - 1}"
        )
    return numbers.astype(np.uint8)
