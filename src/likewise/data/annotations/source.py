"""Annotated images as a source: images, masks and boxes letter-boxed to one size, decoded once into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from likewise.console import count_of
from likewise.data import pictures
from likewise.data.annotations.annotation import (
    BACKGROUND,
    IGNORE,
    AnnotatedImage,
    AnnotationError,
    Annotations,
    Box,
)
from likewise.data.annotations.boxes import checked_boxes
from likewise.data.annotations.masks import decoded_mask
from likewise.data.annotations.read import Wanted, read_annotations
from likewise.data.annotations.regions import class_map
from likewise.data.cache import cached, digest
from likewise.data.files import File, in_threads, printable, progress_bar
from likewise.data.source import ImageSource
from likewise.errors import UserError

# Part of every cache key: raise it when the same files would become other pixels.
READER = 1
AHEAD = 64  # decoded images that may wait for an earlier one
BOX_COLUMNS = 7  # image, edges, class, crowd
FOREGROUND = "foreground"


class AnnotatedImages(ImageSource):
    """Images with masks or boxes, uint8 `(n, channels, size, size)`: each whole, in the middle, on grey.

    `class_names` are the names of the classes of masks and boxes. Where masks have no values but 0 and 255, 255 is the
    class 1, "foreground"; elsewhere it is `IGNORE`, as is what lies around an image.
    `skipped` has images, and single annotations, that could not be used.
    """

    def __init__(
        self,
        annotations: Annotations,
        wanted: Wanted,
        *,
        name: str,
        size: int,
        channels: int,
        progress: bool = True,
    ) -> None:
        self.name, self.size = name, size
        self.format = annotations.format
        images = [image for image in annotations.images if wanted == "boxes" or image.has_mask]
        files = [_files(annotations.folder, image) for image in images]
        asked = [digest([image]) for image in images]
        key = digest([READER, pictures.LETTERBOX, annotations.folder.resolve(), size, channels, wanted, *asked, *files])
        path, about = cached(
            "annotated",
            key,
            lambda building: _build(building, annotations.folder, images, wanted, size, channels, name, progress),
        )
        left_out = [printable(image.path) for image in annotations.images if wanted == "masks" and not image.has_mask]
        self.skipped = [
            *annotations.skipped,
            *((file, "image without a mask") for file in left_out),
            *((file, why) for file, why in about["skipped"]),
        ]
        self.ids = about["ids"]
        if not self.ids:
            file, why = self.skipped[0]
            raise UserError(f"{annotations.folder}: none of {len(images)} annotated images can be used ({file}: {why})")
        shape = (len(self.ids), channels, size, size)
        self.pixels = np.memmap(path / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)
        self._masks = None
        if wanted == "masks":
            self._masks = np.memmap(path / "masks.u8", dtype=np.uint8, mode="r", shape=(len(self.ids), size, size))
        self._boxes = np.load(path / "boxes.npy", allow_pickle=False)
        self.frames = [tuple(frame) for frame in about["frames"]]
        """Where each image lies: left, top, width and height, in pixels."""
        self.sizes = [tuple(each) for each in about["sizes"]]
        """Width and height of each image as it is in its file, upright."""
        self._two_valued = set(about["values"]) <= {0, IGNORE} and IGNORE in about["values"]
        self.class_names = annotations.classes or _numbered(about["values"], self._two_valued)
        most = max((value for value in about["values"] if value != IGNORE), default=0)
        if most >= len(self.class_names):
            raise UserError(
                f"{annotations.folder} must name each class of its masks, got {len(self.class_names)} names and the "
                f"class {most}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return torch.from_numpy(self.pixels[indices.cpu().numpy()])

    def masks(self, indices: Int[Tensor, " n"]) -> Int[Tensor, "n h w"]:
        """The class of each pixel, `IGNORE` where it is not known.

        Raises:
            UserError: for images that have boxes only.
        """
        if self._masks is None:
            raise UserError(f"{self.name} was opened for its boxes, not for masks")
        found = torch.from_numpy(self._masks[indices.cpu().numpy()]).long()
        if self._two_valued:
            padded = torch.stack([self._outside(i) for i in indices.tolist()])
            found = torch.where(padded, IGNORE, (found == IGNORE).long())
        return found

    def boxes(self, index: int) -> list[Box]:
        """Those of one image, in pixels of the letter-boxed image."""
        rows = self._boxes[self._boxes[:, 0] == index].tolist()
        return [
            Box(left, top, right, bottom, int(label), bool(crowd)) for _, left, top, right, bottom, label, crowd in rows
        ]

    @cached_property
    def notes(self) -> list[str]:
        found = [f"{self.name}: {count_of(len(self), 'image')} with {self.format} annotations"]
        if self._two_valued:
            found.append(
                f"{self.name}: its masks have no values but 0 and 255: 255 is taken for the class {FOREGROUND}"
            )
        return found

    def _outside(self, index: int) -> Any:
        left, top, width, height = self.frames[index]
        outside = torch.ones(self.size, self.size, dtype=torch.bool)
        outside[top : top + height, left : left + width] = False
        return outside


def open_annotated(data: Any, wanted: Wanted, *, size: int, channels: int, progress: bool = True) -> AnnotatedImages:
    """The annotated images of a folder, `scenes` or a part of it, `scenes:train`.

    Args:
        data: the folder; see `likewise.data.annotations.read.read_annotations`.
        wanted: masks or boxes.
        size: of the images, in pixels.
        channels: 1 or 3.
        progress: report on stderr.

    Raises:
        UserError: for a folder without annotations that can be used, or other channels.
    """
    if channels not in (1, 3):
        raise UserError(f"channels must be 1 or 3 for annotated images, got {channels}")
    found = read_annotations(data, wanted)
    name = printable(found.folder.resolve().name)
    return AnnotatedImages(found, wanted, name=name, size=size, channels=channels, progress=progress)


class _Decoded(NamedTuple):
    """What one image became."""

    pixels: UInt8[np.ndarray, "c s s"]
    mask: UInt8[np.ndarray, "s s"] | None
    boxes: list[Box]
    faults: list[str]
    frame: tuple[int, int, int, int]
    size: tuple[int, int]


def _build(
    building: Path,
    folder: Path,
    images: Sequence[AnnotatedImage],
    wanted: Wanted,
    size: int,
    channels: int,
    name: str,
    progress: bool,
) -> dict[str, Any]:
    """Decode images and masks into `building`; say which were skipped, and what is in the masks."""

    def decoded(image: AnnotatedImage) -> _Decoded | str:
        try:
            return _decode(folder, image, wanted, size, channels)
        except Exception as error:
            return pictures.reason(error)

    skipped: list[tuple[str, str]] = []
    ids: list[str] = []
    frames, sizes, rows = [], [], []
    values: set[int] = set()
    with (
        (building / "pixels.u8").open("wb") as pixels,
        (building / "masks.u8").open("wb") as masks,
        pictures.quietly(),
        progress_bar(name, "annotated images", len(images), progress) as done,
        closing(in_threads(decoded, images, ahead=AHEAD)) as made,
    ):
        for image, one in zip(images, made, strict=True):
            done()
            file = printable(image.path)
            if isinstance(one, str):
                skipped.append((file, one))
                continue
            skipped += [(file, why) for why in one.faults]
            pixels.write(one.pixels.tobytes())
            if one.mask is not None:
                masks.write(one.mask.tobytes())
                left, top, width, height = one.frame
                inside = one.mask[top : top + height, left : left + width]
                values |= set(np.unique(inside).tolist())
            rows += [(len(ids), *box[:4], box.label, box.crowd) for box in one.boxes]
            ids.append(file)
            frames.append(one.frame)
            sizes.append(one.size)
    np.save(building / "boxes.npy", np.array(rows, dtype=np.float64).reshape(-1, BOX_COLUMNS), allow_pickle=False)
    return {"skipped": skipped, "ids": ids, "frames": frames, "sizes": sizes, "values": sorted(values)}


def _decode(folder: Path, image: AnnotatedImage, wanted: Wanted, size: int, channels: int) -> _Decoded:
    """One image with its mask and boxes.

    Raises:
        AnnotationError: for a mask that cannot be used, or an image without any box that can be.
        Exception: what decoding raises.
    """
    shown = pictures.letterboxed(folder / image.path, size, channels)
    width, height = shown.size
    faults: list[str] = []
    mask = None
    if wanted == "masks":
        if image.mask is not None:
            numbers = decoded_mask(folder / image.mask, width, height)
        else:
            numbers, drawn = class_map(image.outlines or (), width, height, shares=image.shares)
            faults += [why for _, why in drawn]
            if drawn and len(drawn) == len(image.outlines or ()):
                raise AnnotationError(f"no outline that can be used ({drawn[0][1]})")
        mask = _letterboxed_mask(numbers, shown.frame, size)
    boxes, wrong = checked_boxes(image.boxes, width, height, shares=image.shares)
    if wanted == "boxes":
        faults += [why for _, why in wrong]
        if wrong and not boxes:
            raise AnnotationError(f"no box that can be used ({wrong[0][1]})")
    left, top, wide, high = shown.frame
    across, down = wide / width, high / height
    placed = [
        Box(
            left + box.left * across,
            top + box.top * down,
            left + box.right * across,
            top + box.bottom * down,
            box.label,
            box.crowd,
        )
        for box in boxes
    ]
    return _Decoded(shown.pixels, mask, placed, faults, shown.frame, shown.size)


def _letterboxed_mask(
    numbers: UInt8[np.ndarray, "h w"], frame: tuple[int, int, int, int], size: int
) -> UInt8[np.ndarray, "{size} {size}"]:
    """A mask at its place among pixels of no class; each pixel has the class at its middle."""
    left, top, width, height = frame
    small = Image.fromarray(numbers).resize((width, height), Image.Resampling.NEAREST)
    placed = np.full((size, size), IGNORE, dtype=np.uint8)
    placed[top : top + height, left : left + width] = np.asarray(small)
    return placed


def _files(folder: Path, image: AnnotatedImage) -> list[File | None]:
    """What an image and its mask are known again by; None for what is not there."""
    found: list[File | None] = []
    for path in filter(None, (image.path, image.mask)):
        try:
            found.append(File.of(path, (folder / path).stat()))
        except OSError:
            found.append(None)
    return found


def _numbered(values: Sequence[int], two_valued: bool) -> list[str]:
    """Names of classes that no file names."""
    if two_valued:
        return [BACKGROUND, FOREGROUND]
    return [str(number) for number in range(max((v for v in values if v != IGNORE), default=0) + 1)]
