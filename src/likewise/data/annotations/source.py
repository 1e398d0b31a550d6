"""Annotated images as a source: images, masks and boxes letter-boxed to one size, decoded once into the cache.

With a tile, each image is cut into squares first, and these are the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

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
from likewise.data.annotations.boxes import boxes_in_part, checked_boxes
from likewise.data.annotations.masks import decoded_mask
from likewise.data.annotations.parquet_rows import contents_of
from likewise.data.annotations.read import Wanted, read_annotations
from likewise.data.annotations.regions import class_map
from likewise.data.cache import cached, digest
from likewise.data.content import AnyFile
from likewise.data.files import File, in_threads, printable, progress_bar
from likewise.data.pictures import Letterboxed
from likewise.data.random_rows import read_rows
from likewise.data.source import ImageSource, Source
from likewise.data.tiling import Place, Tiling, check_tile, size_of_tiles
from likewise.errors import UserError

# Part of every cache key: raise it when the same files would become other pixels.
READER = 2
AHEAD = 64  # decoded images that may wait for an earlier one
TILED_AHEAD = 4  # likewise, where each waits with all its tiles
MOST_TILES = 4096
"""Of one image: at 224 pixels they take 600 MB."""
BOX_COLUMNS = 7  # sample, edges, class, crowd
PLACE_COLUMNS = 7  # of a sample: image, left and top in it, frame
FOREGROUND = "foreground"


class AnnotatedImages(ImageSource):
    """Images with masks or boxes, uint8 `(n, channels, size, size)`: each whole, in the middle, on grey.

    With `tile`, an image is cut into squares of so many of its pixels, and each of these is a sample, resized; their
    ids are `a.jpg#LEFT,TOP`. An image that is smaller than a tile lies in the middle of one, on grey.

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
        tile: int | None = None,
        progress: bool = True,
    ) -> None:
        self.name, self.size, self.tile = name, size, tile
        self.format = annotations.format
        images = [image for image in annotations.images if wanted == "boxes" or image.has_mask]
        files = [_files(annotations.folder, image) for image in images]
        asked = [digest([image]) for image in images]
        form = (size, channels, wanted, tile)
        key = digest([READER, pictures.LETTERBOX, annotations.folder.resolve(), *form, *asked, *files])
        path, about = cached(
            "annotated",
            key,
            lambda building: _build(
                building, annotations.folder, images, wanted, size, channels, tile, name=name, progress=progress
            ),
        )
        self._understood = annotations.notes
        left_out = [printable(image.path) for image in annotations.images if wanted == "masks" and not image.has_mask]
        self.skipped = [
            *annotations.skipped,
            *((file, "image without a mask") for file in left_out),
            *((file, why) for file, why in about["skipped"]),
        ]
        image_ids = about["ids"]
        if not image_ids:
            file, why = self.skipped[0]
            raise UserError(f"{annotations.folder}: none of {len(images)} annotated images can be used ({file}: {why})")
        places = np.load(path / "places.npy", allow_pickle=False)
        self.image_of = torch.from_numpy(places[:, 0].copy())
        """The image that each sample is, or is cut from: a place in `wholes`."""
        self.frames = [tuple(frame) for frame in places[:, 3:].tolist()]
        """Where each image, or the part of it in a tile, lies: left, top, width and height, in pixels."""
        self.sizes = [tuple(each) for each in about["sizes"]]
        """Width and height of each image as it is in its file, upright."""
        self.pixels = _mapped(path / "pixels.u8", (len(places), channels, size, size))
        self._masks = _mapped(path / "masks.u8", (len(places), size, size)) if wanted == "masks" else None
        self._boxes = np.load(path / "boxes.npy", allow_pickle=False)
        self._wholes: WholeImages | None = None
        self.ids = image_ids
        if tile is not None:
            self.ids = [f"{image_ids[image]}#{left},{top}" for image, left, top in places[:, :3].tolist()]
            self.groups = self.image_of
            overviews = _mapped(path / "wholes.u8", (len(image_ids), channels, size, size))
            self._wholes = WholeImages(name, image_ids, overviews)
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

    @property
    def wholes(self) -> Source:
        """The images before they are cut: what is drawn, held out, and compared."""
        return self if self._wholes is None else self._wholes

    def samples_of(self, images: Int[Tensor, " m"]) -> Int[Tensor, " n"]:
        """The samples that some images are, or are cut into, image by image."""
        between = torch.searchsorted(self.image_of, torch.stack([images, images + 1], dim=1))
        return torch.cat([torch.arange(start, end) for start, end in between.tolist()])

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return torch.from_numpy(read_rows(self.pixels, indices.cpu().numpy()))

    def masks(self, indices: Int[Tensor, " n"]) -> Int[Tensor, "n h w"]:
        """The class of each pixel, `IGNORE` where it is not known.

        Raises:
            UserError: for images that have boxes only.
        """
        if self._masks is None:
            raise UserError(f"{self.name} was opened for its boxes, not for masks")
        found = torch.from_numpy(read_rows(self._masks, indices.cpu().numpy())).long()
        if self._two_valued:
            padded = torch.stack([self._outside(i) for i in indices.tolist()])
            found = torch.where(padded, IGNORE, (found == IGNORE).long())
        return found

    def boxes(self, index: int) -> list[Box]:
        """Those of one sample, in its pixels. One of which less than half is in a tile counts as a crowd there."""
        start, end = np.searchsorted(self._boxes[:, 0], (index, index + 1))
        return [
            Box(left, top, right, bottom, int(label), bool(crowd))
            for _, left, top, right, bottom, label, crowd in self._boxes[start:end].tolist()
        ]

    @cached_property
    def notes(self) -> list[str]:
        found = [f"{self.name}: {count_of(len(self.wholes), 'image')} with {self.format} annotations"]
        if self.tile is not None:
            found[0] += f", in {count_of(len(self), 'tile')} of {size_of_tiles(self.tile)}"
        found += [f"{self.name}: {note}" for note in self._understood]
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


class WholeImages(ImageSource):
    """Images that were cut into tiles, each whole, in the middle, on grey."""

    def __init__(self, name: str, ids: list[str], pixels: UInt8[np.ndarray, "n c h w"]) -> None:
        self.name, self.ids, self.pixels = name, ids, pixels

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return torch.from_numpy(read_rows(self.pixels, indices.cpu().numpy()))


def open_annotated(
    data: Any, wanted: Wanted, *, size: int, channels: int, tile: int | None = None, progress: bool = True
) -> AnnotatedImages:
    """The annotated images of a folder, `scenes` or a part of it, `scenes:train`.

    Args:
        data: the folder; see `likewise.data.annotations.read.read_annotations`.
        wanted: masks or boxes.
        size: of the images, in pixels.
        channels: 1 or 3.
        tile: the side of the squares that images are cut into, in their own pixels; None: they are not cut.
        progress: report on stderr.

    Raises:
        UserError: for a folder without annotations that can be used, other channels, or an impossible tile.
    """
    if channels not in (1, 3):
        raise UserError(f"channels must be 1 or 3 for annotated images, got {channels}")
    check_tile(tile)
    found = read_annotations(data, wanted)
    name = printable(found.folder.resolve().name)
    return AnnotatedImages(found, wanted, name=name, size=size, channels=channels, tile=tile, progress=progress)


class _Sample(NamedTuple):
    """An image or a tile of one, with what is annotated in it."""

    left: int
    top: int
    """In the image."""
    shown: Letterboxed
    mask: UInt8[np.ndarray, "s s"] | None
    boxes: list[Box]


class _Decoded(NamedTuple):
    """What one image became."""

    samples: list[_Sample]
    whole: UInt8[np.ndarray, "c s s"] | None
    """Where it was cut."""
    faults: list[str]
    size: tuple[int, int]


class _Annotated(NamedTuple):
    """What is said of an image, in its pixels."""

    mask: UInt8[np.ndarray, "h w"] | None
    boxes: list[Box]
    faults: list[str]


def _build(
    building: Path,
    folder: Path,
    images: Sequence[AnnotatedImage],
    wanted: Wanted,
    size: int,
    channels: int,
    tile: int | None,
    *,
    name: str,
    progress: bool,
) -> dict[str, Any]:
    """Decode images and masks into `building`; say which were skipped, and what is in the masks."""

    def decoded(one: _Read) -> _Decoded | str:
        try:
            return _decode(one, wanted, size, channels, tile)
        except Exception as error:
            return pictures.reason(error)

    skipped: list[tuple[str, str]] = []
    ids: list[str] = []
    sizes, boxes = [], []
    places: list[tuple[int, ...]] = []
    values: set[int] = set()
    ahead = AHEAD if tile is None else TILED_AHEAD
    with (
        (building / "pixels.u8").open("wb") as pixels,
        (building / "masks.u8").open("wb") as masks,
        (building / "wholes.u8").open("wb") as wholes,
        pictures.quietly(),
        progress_bar(name, "annotated images", len(images), progress) as done,
        closing(in_threads(decoded, (_read(folder, image) for image in images), ahead=ahead)) as made,
    ):
        for image, one in zip(images, made, strict=True):
            done()
            file = printable(image.path)
            if isinstance(one, str):
                skipped.append((file, one))
                continue
            skipped += [(file, why) for why in one.faults]
            for sample in one.samples:
                pixels.write(sample.shown.pixels.tobytes())
                if sample.mask is not None:
                    values |= _written(masks, sample.mask, sample.shown.frame)
                boxes += [(len(places), *box[:4], box.label, box.crowd) for box in sample.boxes]
                places.append((len(ids), sample.left, sample.top, *sample.shown.frame))
            if one.whole is not None:
                wholes.write(one.whole.tobytes())
            ids.append(file)
            sizes.append(one.size)
    np.save(building / "boxes.npy", np.array(boxes, dtype=np.float64).reshape(-1, BOX_COLUMNS), allow_pickle=False)
    np.save(building / "places.npy", np.array(places, dtype=np.int64).reshape(-1, PLACE_COLUMNS), allow_pickle=False)
    return {"skipped": skipped, "ids": ids, "sizes": sizes, "values": sorted(values)}


def _written(file: BinaryIO, mask: UInt8[np.ndarray, "s s"], frame: tuple[int, int, int, int]) -> set[int]:
    """Write a mask; which values are in its frame."""
    file.write(mask.tobytes())
    left, top, width, height = frame
    return set(np.unique(mask[top : top + height, left : left + width]).tolist())


class _Read(NamedTuple):
    """Where an image and its mask are read from."""

    said: AnnotatedImage
    picture: AnyFile
    mask: AnyFile | None


def _read(folder: Path, image: AnnotatedImage) -> _Read:
    if image.row is not None:
        return _Read(image, *contents_of(image))
    return _Read(image, folder / image.path, None if image.mask is None else folder / image.mask)


def _decode(one: _Read, wanted: Wanted, size: int, channels: int, tile: int | None) -> _Decoded:
    """One image with its mask and boxes, or its tiles with theirs.

    Raises:
        AnnotationError: for a mask that cannot be used, an image without any box that can be, or too many tiles.
        Exception: what decoding raises.
    """
    if tile is None:
        shown = pictures.letterboxed(one.picture, size, channels)
        whole, parts, of = None, [((0, 0, *shown.size), shown)], shown.size
    else:
        with pictures.decoded(one.picture) as picture:
            places, of = Tiling(tile).places(*picture.size), picture.size
            if len(places) > MOST_TILES:
                raise AnnotationError(
                    f"{len(places):,} tiles of {size_of_tiles(tile)}, more than {MOST_TILES:,}: give a larger --tile"
                )
            parts = [(place, picture.part(place, tile, size, channels)) for place in places]
            whole = picture.whole(size, channels).pixels
    said = _annotated(one, wanted, *of)
    return _Decoded([_sample(place, part, said, size) for place, part in parts], whole, said.faults, of)


def _annotated(one: _Read, wanted: Wanted, width: int, height: int) -> _Annotated:
    """The mask and the boxes of an image of such a size.

    Raises:
        AnnotationError: for a mask that cannot be used, or an image without any box that can be.
        Exception: what decoding a mask raises.
    """
    faults: list[str] = []
    image, mask = one.said, None
    if wanted == "masks":
        if one.mask is not None:
            mask = decoded_mask(one.mask, width, height)
        else:
            mask, drawn = class_map(image.outlines or (), width, height, shares=image.shares)
            faults += [why for _, why in drawn]
            if drawn and len(drawn) == len(image.outlines or ()):
                raise AnnotationError(f"no outline that can be used ({drawn[0][1]})")
    boxes, wrong = checked_boxes(image.boxes, width, height, shares=image.shares)
    if wanted == "boxes":
        faults += [why for _, why in wrong]
        if wrong and not boxes:
            raise AnnotationError(f"no box that can be used ({wrong[0][1]})")
    return _Annotated(mask, boxes, faults)


def _sample(place: Place, shown: Letterboxed, said: _Annotated, size: int) -> _Sample:
    """A part of an image with what is annotated there."""
    left, top, right, bottom = place
    mask = None if said.mask is None else _letterboxed_mask(said.mask[top:bottom, left:right], shown.frame, size)
    across, down = shown.frame[2] / (right - left), shown.frame[3] / (bottom - top)
    from_left, from_top = shown.frame[:2]
    boxes = [
        Box(
            from_left + box.left * across,
            from_top + box.top * down,
            from_left + box.right * across,
            from_top + box.bottom * down,
            box.label,
            box.crowd,
        )
        for box in boxes_in_part(said.boxes, place)
    ]
    return _Sample(left, top, shown, mask, boxes)


def _letterboxed_mask(
    numbers: UInt8[np.ndarray, "h w"], frame: tuple[int, int, int, int], size: int
) -> UInt8[np.ndarray, "{size} {size}"]:
    """A mask at its place among pixels of no class; each pixel has the class at its middle."""
    left, top, width, height = frame
    small = Image.fromarray(np.ascontiguousarray(numbers)).resize((width, height), Image.Resampling.NEAREST)
    placed = np.full((size, size), IGNORE, dtype=np.uint8)
    placed[top : top + height, left : left + width] = np.asarray(small)
    return placed


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)


def _files(folder: Path, image: AnnotatedImage) -> list[File | None]:
    """What an image and its mask are known again by; None for what is not there. A row has no files of its own."""
    found: list[File | None] = []
    for path in filter(None, (image.path, image.mask) if image.row is None else ()):
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
