"""What files say of where something is in an image, whatever their format: classes, masks, outlines and boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from likewise.data.stores import Shard

IGNORE = 255
"""In a mask: a pixel of no known class, which is neither learned from nor measured."""
MOST_CLASSES = IGNORE
BACKGROUND = "background"
"""The class 0 where files name what is in an image only."""


class Box(NamedTuple):
    """A rectangle around one thing: its edges from the left and from the top."""

    left: float
    top: float
    right: float
    bottom: float
    label: int
    """A position in the classes."""
    crowd: bool = False
    """Whether it is around many things at once."""


class RunLengths(NamedTuple):
    """A region as COCO writes it: lengths of runs outside and inside, by turns, column by column."""

    counts: tuple[int, ...]
    width: int
    height: int


class Outline(NamedTuple):
    """A region of one class."""

    label: int
    polygons: tuple[tuple[float, ...], ...] = ()
    """Each x, y, x, y …"""
    runs: RunLengths | None = None


class ParquetRow(NamedTuple):
    """Where an image is that has no file of its own."""

    shard: Shard
    group: int
    number: int
    """In its row group."""
    image: str
    """The column of it."""
    mask: str | None
    """The column of its mask."""


@dataclass(frozen=True)
class AnnotatedImage:
    """What is said of one image, before the image itself is looked at."""

    path: str
    """From the folder of `Annotations`, with "/" on every platform."""
    boxes: tuple[Box, ...] = ()
    outlines: tuple[Outline, ...] | None = None
    """None: the files say nothing of regions. The first are painted first."""
    mask: str | None = None
    """A file with a class for each pixel, from the folder."""
    shares: bool = False
    """Whether boxes and outlines are in shares of the image's width and height, not in pixels."""
    row: ParquetRow | None = None
    """Where the image and its mask are; None: in files of these paths."""

    @property
    def has_mask(self) -> bool:
        in_row = self.row is not None and self.row.mask is not None
        return self.mask is not None or self.outlines is not None or in_row


@dataclass(frozen=True)
class Annotations:
    """All that the files of a folder say."""

    folder: Path
    format: str
    """What people call it: "masks", "COCO", "Pascal VOC", "YOLO", "table" or "Parquet"."""
    classes: list[str]
    """The names of the classes; of masks without names `[]`, as they are known when the masks have been read."""
    images: list[AnnotatedImage]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(file or part of it, reason) of what could not be used."""
    notes: list[str] = field(default_factory=list)
    """How something was understood, for people."""


class AnnotationError(ValueError):
    """One annotation, or one file of them, cannot be used; the message says why in a few words."""
