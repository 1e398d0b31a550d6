"""A folder of image files, decoded once into the cache."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from likewise.console import count_of, tell
from likewise.data import endings, pictures
from likewise.data.cache import cache_use, cached, digest
from likewise.data.files import (
    File,
    by_subfolder,
    check_same,
    folder_of,
    in_threads,
    mostly_recordings,
    own_note,
    printable,
    progress_bar,
    scan,
)
from likewise.data.folder_labels import folder_labelling
from likewise.data.labelling import Labelling, Labels
from likewise.data.levels import Extent, Levels, find_extent, kinds_note, level_notes, range_note, unseen_note
from likewise.data.live import decode_images
from likewise.data.path_lists import listed_files
from likewise.data.random_rows import read_rows
from likewise.data.request import Request
from likewise.data.source import ImageSource, label_note
from likewise.data.value_range import Range
from likewise.errors import UserError
from likewise.own_files import OWN

SUFFIXES = endings.IMAGES
SAMPLED = 256
CHECKED = 8  # px: at this size files are looked at that are not kept; all data of a JPEG is read, as at others
TRIED = 8  # files that are decoded to see whether they can have so many channels
AHEAD = 512  # decoded files that may wait for an earlier one
# Part of every cache key: raise it when the same file would become other pixels.
DECODER = 3


def open_source(request: Request) -> ImageFolder | None:
    """The source of a folder with images in it, or of a list of paths of images; None for anything else."""
    asked = folder_of(request)
    if asked is None:
        return _listed(request)
    folder, name = asked
    if request.read_options.modality is None and mostly_recordings(folder):
        return None
    found, unreadable = scan(folder, SUFFIXES, pictures.recognises, "an image")
    if not found:
        return None
    labelling, notes = folder_labelling(request, folder, found, "images")
    return ImageFolder(
        folder,
        found,
        unreadable,
        name=name,
        size=request.read_options.size,
        channels=request.read_options.channels,
        range=request.read_options.range,
        progress=request.progress,
        notes=notes,
        labelling=labelling,
        without_own=True,
    )


def _listed(request: Request) -> ImageFolder | None:
    found = listed_files(request, SUFFIXES, pictures.recognises, "image", "images")
    if found is None:
        return None
    return ImageFolder(
        Path(),
        found.files,
        found.missing,
        name="images",
        size=request.read_options.size,
        channels=request.read_options.channels,
        range=request.read_options.range,
        progress=request.progress,
        labelling=found.labelling,
    )


class ImageFolder(ImageSource):
    """The image files below a folder as uint8 `(n, channels, size, size)`, read from a memory-mapped cache.

    `size` None: `pictures.usual_size` of up to 256 files spread evenly over the folder.
    `channels` None: 1 where all of those files are stored as grey (a grey palette is not), 3 otherwise; where all are
    TIFF files of another number of channels, that.
    `range` None: of pixels of more than 8 bits `levels.find_extent` of those files; pixels of 8 bits stay as they are.
    Labels are what `labelling` says, or else the first subfolder of each file: see `by_subfolder`.
    """

    def __init__(
        self,
        folder: Path,
        files: list[File],
        unreadable: Iterable[tuple[str, str]] = (),
        *,
        name: str,
        size: int | None = None,
        channels: int | None = None,
        range: Range | None = None,
        progress: bool = True,
        notes: Sequence[str] = (),
        labelling: Labelling | None = None,
        without_own: bool = False,
    ) -> None:
        """`without_own`: pictures that likewise has drawn are no samples, as nobody has named them."""
        self.folder = folder
        self.name = name
        self._notes = notes
        self._labelling = labelling
        kind = usual(folder, files, without_own)
        size, channels = size or kind.size, channels or kind.channels
        _check_channels(folder, files, channels)
        extent = found_extent(folder, kind.deep) if kind.deep and range is None else None
        range = range if extent is None else extent.range
        self.decoded_bytes = len(files) * channels * size**2
        keeps = cache_use().keeps(self.decoded_bytes)
        kind_of_cache, looked_at = ("images", size) if keeps else ("looked", CHECKED)
        # Equal names, sizes and times do not make equal pictures: each folder has a cache of its own.
        key = digest([DECODER, folder.resolve(), looked_at, channels, range, without_own, *files])
        how = (looked_at, channels, range, without_own, name, progress, keeps)
        path, metadata = cached(kind_of_cache, key, lambda building: build(building, folder, files, *how))
        if kind.deep and range is not None:
            self.range = range
            self._notes = [
                *notes,
                range_note(range) if extent is None else extent.note(),
                *kinds_note(kind.pixels, pictures.BYTES),
                *level_notes(metadata["clipped"], metadata["few"], len(files), range),
            ]
        else:
            self._notes = [*notes, *unseen_note(metadata.get("deep", 0), len(files), pictures.SIXTEEN_BITS)]
        self.skipped = sorted((printable(file), why) for file, why in [*unreadable, *metadata["skipped"]])
        left_out = {file for file, _ in metadata["skipped"]}
        self._kept = np.array([i for i, file in enumerate(files) if file.id not in left_out], dtype=np.int64)
        self._files = files
        self._how: dict[str, Any] = {"size": size, "channels": channels, "range": range}
        self.ids = [printable(files[i].id) for i in self._kept]
        if not self.ids:
            file, why = metadata["skipped"][0]
            raise UserError(f"{folder}: none of its {len(files)} image files can be read ({printable(file)}: {why})")
        self.pixels: np.ndarray | None = None
        self.reads_slowly = not keeps
        if keeps:
            shape = (len(self.ids), channels, size, size)
            self.pixels = np.memmap(path / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        chosen = indices.cpu().numpy()
        return self._decoded(chosen) if self.pixels is None else torch.from_numpy(read_rows(self.pixels, chosen))

    def _decoded(self, chosen: Int[np.ndarray, " n"]) -> UInt8[Tensor, "n c h w"]:
        files = [self._files[place] for place in self._kept[chosen].tolist()]
        for file in files:
            check_same(self.folder, file)
        return decode_images(
            [self.folder / file.id for file in files], lambda place: printable(files[place].id), **self._how
        )

    @cached_property
    def classes(self) -> list[str]:
        """In natural order; see `by_subfolder`."""
        return self._labelled[0]

    def labels(self) -> Int[Tensor, " len"]:
        numbers = self._labelled[1]
        if isinstance(numbers, str):
            raise UserError(numbers)
        return numbers

    @cached_property
    def notes(self) -> list[str]:
        return [*self._notes, *own_note(self.skipped), *label_note(self._labelled[1], "images")]

    @cached_property
    def _labelled(self) -> Labels:
        if self._labelling is None:
            return by_subfolder(self.folder, self.ids, "images")
        return self._labelling(self._kept)


class Kind(NamedTuple):
    """What the headers of some of the files say."""

    size: int
    channels: int
    deep: list[File]
    """Those with pixels of more than 8 bits."""
    pixels: Counter[str]
    """How many have pixels of each kind."""


def usual(folder: Path, files: list[File], without_own: bool) -> Kind:
    """The default size and channels for these files, from the headers of some of them."""
    headers: list[tuple[File, pictures.Header]] = []
    with pictures.quietly():
        for i in np.linspace(0, len(files) - 1, min(SAMPLED, len(files))).astype(int):
            # What cannot be opened is listed when it is decoded.
            with suppress(Exception):
                if not (without_own and pictures.is_own(folder / files[i].id)):
                    headers.append((files[i], pictures.header(folder / files[i].id)))
    size = pictures.usual_size([header.side for _, header in headers])
    channels = {header.channels for _, header in headers}
    return Kind(
        size,
        channels.pop() if len(channels) == 1 else 3,
        [file for file, header in headers if header.pixels != pictures.BYTES],
        Counter(header.pixels for _, header in headers),
    )


def _check_channels(folder: Path, files: list[File], channels: int) -> None:
    """Raise `UserError` where none of some files can be given so many channels, before all of them are decoded.

    What else is wrong with a file is found when it is decoded.
    """
    if channels in (1, 3):
        return
    refusal = ""
    with pictures.quietly():
        for i in np.linspace(0, len(files) - 1, min(TRIED, len(files))).astype(int):
            try:
                pictures.decode(folder / files[i].id, 4, channels, Levels(pictures.SIXTEEN_BITS))
            except UserError as error:
                refusal = refusal or f"{printable(files[i].id)}: {error}"
            except Exception:
                continue
            else:
                return
    if refusal:
        raise UserError(
            f"{folder}: none of the {min(TRIED, len(files))} images that were tried can be read ({refusal})"
        )


def found_extent(folder: Path, files: list[File]) -> Extent | None:
    """The range of the numbers in these files, found once; None where there are none."""

    def numbers(file: File) -> Any:
        with suppress(Exception):
            return pictures.numbers(folder / file.id)
        return np.empty(0)

    def find(_: Path) -> dict[str, Any]:
        # One file at a time waits in memory: scans are large.
        with pictures.quietly(), closing(in_threads(numbers, files, ahead=1)) as found:
            return {"extent": find_extent(found)}

    _, metadata = cached("ranges", digest([DECODER, folder.resolve(), *files]), find)
    return Extent.of(metadata["extent"])


def build(
    building: Path,
    folder: Path,
    files: list[File],
    size: int,
    channels: int,
    range: Range | None,
    without_own: bool,
    name: str,
    progress: bool,
    keeps: bool = True,
) -> dict[str, Any]:
    """Decode `files` in parallel into `building/pixels.u8`, one after the other; say which were skipped.

    `keeps`: whether the file is written.
    """

    def pixels(file: File) -> tuple[np.ndarray | str, Levels | None]:
        levels = Levels(range or pictures.SIXTEEN_BITS, of_whole_numbers=range is None)
        try:
            if file.size == 0:
                return "empty file", None
            if without_own and pictures.is_own(folder / file.id):
                return OWN, None
            return pictures.decode(folder / file.id, size, channels, levels), levels
        except Exception as error:
            return pictures.reason(error), None

    skipped: list[tuple[str, str]] = []
    clipped = few = deep = 0
    started = time.perf_counter()
    with (
        (building / "pixels.u8").open("wb") if keeps else nullcontext() as out,
        pictures.quietly(),
        progress_bar(name, "images", len(files), progress) as done,
        # Pillow releases the GIL while it decodes and resizes, so threads do as well as processes.
        closing(in_threads(pixels, files, ahead=AHEAD)) as decodings,
    ):
        for file, (decoded, levels) in zip(files, decodings, strict=True):
            if isinstance(decoded, str):
                skipped.append((file.id, decoded))
            else:
                if out is not None:
                    out.write(decoded.tobytes())
                if levels is not None:
                    clipped, few, deep = clipped + levels.clips, few + levels.are_few, deep + (levels.numbers > 0)
            done()
    if progress:
        kept = len(files) - len(skipped)
        done_with, to = ("decoded", f" to {size} x {size}") if keeps else ("looked at", "")
        tell(
            f"{name}: {done_with} {count_of(kept, 'image')}{to} in {time.perf_counter() - started:.1f} s"
            + (f", skipped {len(skipped):,} that cannot be read" if skipped else "")
        )
    if range is not None:
        return {"skipped": skipped, "clipped": clipped, "few": few}
    return {"skipped": skipped} | ({"deep": deep} if deep else {})
