"""A folder of image files, decoded once into the cache."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from likewise.data import pictures
from likewise.data.cache import cached, digest
from likewise.data.source import Request, natural_sort
from likewise.errors import UserError, nearest

ACCEPTS = "a folder of images"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
SAMPLED = 256
CHUNK = 512
# Part of every cache key: raise it when the same file would become other pixels.
DECODER = 1


class File(NamedTuple):
    id: str
    """Path relative to the folder, with "/" on every platform, as it opens the file: see `printable`."""
    size: int
    modified: int
    mode: int


def open_source(request: Request) -> ImageFolder | None:
    """The source of a folder with images in it, None for anything else."""
    if not isinstance(request.data, Path) or not request.data.is_dir():
        return None
    folder = request.data if request.split is None else request.data / request.split
    if not folder.is_dir():
        known = sorted(entry.name for entry in request.data.iterdir() if entry.is_dir())
        raise UserError(
            f"{request.data} has no subfolder {request.split!r}{nearest(str(request.split), known)}; "
            f"it has {', '.join(known) or 'none'}"
        )
    files, unreadable = scan(folder)
    if not files:
        return None
    name = printable(request.data.resolve().name + (f":{request.split}" if request.split else ""))
    return ImageFolder(
        folder,
        files,
        unreadable,
        name=name,
        size=request.size,
        channels=request.channels,
        progress=request.progress,
    )


def scan(folder: Path) -> tuple[list[File], list[tuple[str, str]]]:
    """Every file below `folder` that is named like an image, sorted, and what could not be looked into."""
    files: list[File] = []
    unreadable: list[tuple[str, str]] = []
    for below, entry in walk(folder, unreadable):
        try:
            stat = entry.stat()
            files.append(File(below, stat.st_size, stat.st_mtime_ns, stat.st_mode))
        except OSError as error:
            # A link that leads nowhere.
            unreadable.append((below, pictures.reason(error)))
    return sorted(files), unreadable


def walk(folder: Path, unreadable: list[tuple[str, str]]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below `folder` that is named like an image, by its path from there; those in no subfolder first.

    Hidden files and folders are left out. Links are followed, but no folder is entered twice, so that a
    link to a folder above ends there. What cannot be looked into is put on the list `unreadable`.
    """
    entered: set[tuple[int, int]] = set()
    # Real folders at the left, linked ones at the right: a folder goes by its own name where it has one.
    waiting = deque([""])
    while waiting:
        prefix = waiting.popleft()
        try:
            where = (folder / prefix).stat()
            if (where.st_dev, where.st_ino) in entered:
                continue
            entered.add((where.st_dev, where.st_ino))
            entries = sorted(os.scandir(folder / prefix), key=lambda entry: entry.name)
        except OSError as error:
            unreadable.append((prefix, pictures.reason(error)))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            below = prefix + entry.name
            is_image = entry.name.lower().endswith(SUFFIXES)
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.appendleft(below + "/")
                elif entry.is_dir():
                    waiting.append(below + "/")
                elif is_image:
                    yield below, entry
            except OSError as error:
                # A link that leads to itself.
                if is_image:
                    unreadable.append((below, pictures.reason(error)))


def count_classes(folder: Path) -> tuple[int, bool]:
    """How many classes there are, counted up to two, and whether one has two files, by the names alone.

    Stops as soon as that is known. (0, False) where there is no image, or one in no subfolder.
    """
    tops: set[str] = set()
    has_two = False
    for below, _ in walk(folder, []):
        top, slash, _ = below.partition("/")
        if not slash:
            return 0, False
        has_two = has_two or top in tops
        tops.add(top)
        if len(tops) > 1 and has_two:
            break
    return min(len(tops), 2), has_two


def printable(name: str) -> str:
    """A file name as text that can be written anywhere: bytes that are not UTF-8 as `\\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class ImageFolder:
    """The images below a folder as uint8 `(n, channels, size, size)`, read from a memory-mapped cache.

    `size` None: `pictures.usual_size` of up to 256 files spread evenly over the folder.
    `channels` None: 1 where all of those files are stored as grey (a grey palette is not), 3 otherwise.
    Labels are the first subfolder of each file.
    """

    modality = "image"

    def __init__(
        self,
        folder: Path,
        files: list[File],
        unreadable: Iterable[tuple[str, str]] = (),
        *,
        name: str,
        size: int | None = None,
        channels: int | None = None,
        progress: bool = True,
    ) -> None:
        self.folder = folder
        self.name = name
        if size is None or channels is None:
            usual_size, usual_channels = usual(folder, files)
            size, channels = size or usual_size, channels or usual_channels
        # Equal names, sizes and times do not make equal pictures: each folder has a cache of its own.
        key = digest([DECODER, folder.resolve(), size, channels, *files])
        path, said = cached(
            "images", key, lambda building: build(building, folder, files, size, channels, name, progress)
        )
        self.skipped = sorted((printable(file), why) for file, why in [*unreadable, *said["skipped"]])
        left_out = {file for file, _ in said["skipped"]}
        self.ids = [printable(file.id) for file in files if file.id not in left_out]
        if not self.ids:
            file, why = self.skipped[0]
            raise UserError(f"{folder}: none of its {len(files)} image files can be read ({file}: {why})")
        shape = (len(self.ids), channels, size, size)
        self.pixels = np.memmap(path / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return torch.from_numpy(self.pixels[indices.cpu().numpy()])

    @cached_property
    def classes(self) -> list[str]:
        """The subfolders in natural order; `[]` where a file lies in none."""
        tops = {file.partition("/")[0] if "/" in file else "" for file in self.ids}
        return [] if "" in tops else natural_sort(tops)

    def labels(self) -> Int[Tensor, " len"]:
        return self._labels

    @cached_property
    def _labels(self) -> Int[Tensor, " len"]:
        if not self.classes:
            loose = [file for file in self.ids if "/" not in file]
            raise UserError(
                f"{self.folder} gives no labels: {len(loose):,} of its {len(self):,} images lie in no class "
                f"subfolder (such as {loose[0]}); put each class into a folder of its own"
            )
        number = {name: i for i, name in enumerate(self.classes)}
        return torch.tensor([number[file.partition("/")[0]] for file in self.ids])


def usual(folder: Path, files: list[File]) -> tuple[int, int]:
    """The default (size, channels) for these files, from the headers of some of them."""
    sides, grey = [], True
    with _no_warnings():
        for i in np.linspace(0, len(files) - 1, min(SAMPLED, len(files))).astype(int):
            path = folder / files[i].id
            # What cannot be opened is listed when it is decoded.
            with suppress(Exception), Image.open(path, formats=pictures.FORMATS) as picture:
                sides.append(min(picture.size))
                grey = grey and pictures.is_grey(picture)
    return pictures.usual_size(sides), 1 if grey and sides else 3


def build(
    building: Path, folder: Path, files: list[File], size: int, channels: int, name: str, progress: bool
) -> dict[str, list[tuple[str, str]]]:
    """Decode `files` in parallel into `building/pixels.u8`, one after the other; say which were skipped."""

    def pixels(file: File) -> np.ndarray | str:
        try:
            if file.size == 0:
                return "empty file"
            return pictures.decode(folder / file.id, size, channels)
        except Exception as error:
            return pictures.reason(error)

    skipped: list[tuple[str, str]] = []
    started = time.perf_counter()
    # Pillow releases the GIL while it decodes and resizes, so threads do as well as processes.
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with (
            (building / "pixels.u8").open("wb") as out,
            _no_warnings(),
            _bar(name, len(files), progress) as done,
        ):
            for start in range(0, len(files), CHUNK):
                chunk = files[start : start + CHUNK]
                for file, decoded in zip(chunk, pool.map(pixels, chunk), strict=True):
                    if isinstance(decoded, str):
                        skipped.append((file.id, decoded))
                    else:
                        out.write(decoded.tobytes())
                    done()
    finally:
        pool.shutdown(cancel_futures=True)
    if progress:
        kept = len(files) - len(skipped)
        print(
            f"{name}: decoded {kept:,} images to {size} x {size} in {time.perf_counter() - started:.1f} s"
            + (f", skipped {len(skipped):,} that cannot be read" if skipped else ""),
            file=sys.stderr,
        )
    return {"skipped": skipped}


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Pillow's remarks about single files (odd EXIF, large sizes) are no news: what fails is listed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _bar(name: str, total: int, show: bool) -> Iterator[Callable[[], None]]:
    """A progress bar where stderr is a terminal, one line where it is not; call what it gives per file."""
    if not show:
        yield lambda: None
    elif not sys.stderr.isatty():
        print(f"{name}: decoding {total:,} images, once", file=sys.stderr)
        yield lambda: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(f"{name}: decoding", total=total)
            yield lambda: bar.advance(task)
