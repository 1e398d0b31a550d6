"""Images that are one array: `.npy`, `.npz`, or NumPy and torch in memory.

How the axes are told apart: three are (n, h, w), grey. Four are (n, h, w, c) or (n, c, h, w), whichever has at c as
many as are asked for, or 1 or 3, or else at most half as many as an image has rows and columns; where both fit, NumPy
arrays and files are channels-last and torch tensors channels-first.
What the numbers mean: integers are 0 to 255, floats are 0 to 1, bools are black and white. Where they are others, the
range that becomes grey levels is found over all of them (`levels.find_extent`), or given.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Integer, Shaped, UInt8
from torch import Tensor

from likewise.data.cache import cache_folder, cached, digest
from likewise.data.label_values import ARRAYS_NEED, is_missing, mean_no_label
from likewise.data.levels import Extent, Levels, find_extent, range_note, spell
from likewise.data.random_rows import read_rows
from likewise.data.request import Request
from likewise.data.source import ImageSource, label_note
from likewise.data.value_range import Range
from likewise.errors import UserError

IMAGE_KEYS = ("x", "images", "data", "arr_0")
LABEL_KEYS = ("y", "labels", "targets", "label")
CHECKED = 64
USUAL = {"f": (0.0, 1.0), "i": (0.0, 255.0)}  # of floats and of whole numbers
CLEARLY = 2  # times as many pixels must a row have as there are channels, to tell which is which
BLOCK = 2**22  # numbers looked at at a time
MOST_PACKED = 1100  # times as long as its deflated bytes an array can be
SMALL = 2**20  # bytes that an array may have whatever it is packed in
DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    RuntimeError,  # an encrypted archive, a header nested too deeply, a way of packing that is not known
    SyntaxError,  # a header is an expression of Python
    TokenError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged array raises."""


class ArraySource(ImageSource):
    """The rows of an array as uint8 `(n, c, h, w)`; a memory-mapped array stays on the disk.

    `pixels` has axes n, c, h, w (a transposed or strided view is fine). `range`: the numbers that become grey levels 0
    and 255; None: found over all rows, where they are no bytes. Raises `UserError` where values are not finite: for
    some rows spread over the array when it is made, for the others when they are read.
    """

    def __init__(
        self,
        pixels: Shaped[np.ndarray, "n c h w"],
        labels: Integer[np.ndarray, " n"] | None = None,
        *,
        name: str,
        classes: Sequence[str] = (),
        range: Range | None = None,
        file: Path | None = None,
    ) -> None:
        """`file`: where the array is from, whose range is found once."""
        self.pixels = pixels
        self.name = name
        self.classes = list(classes)
        self._labels = labels
        self.file = file
        notes = [] if labels is None else label_note(torch.from_numpy(labels.astype(np.int64)), "images")
        if pixels.dtype.kind != "b" and pixels.dtype != np.uint8:
            for i in np.linspace(0, len(pixels) - 1, min(CHECKED, len(pixels))).astype(int):
                _check(pixels[i : i + 1], name, None)
            extent = _extent(pixels) if file is None else _kept_extent(pixels, file, name)
            if range is not None:
                self.range = range
                notes += [range_note(range), *_beyond(extent, range)]
            elif extent is not None:
                usual = _usual(pixels)
                if extent.low == extent.high:
                    _check(pixels[:1], name, usual)  # one value says nothing of its range
                self.range = None if extent.range == usual else extent.range
                notes += extent.few_levels() if extent.range == usual else [extent.note()]
        self.notes = notes

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        rows = levels(read_rows(self.pixels, indices.cpu().numpy()), self.name, self.range)
        return torch.from_numpy(np.ascontiguousarray(rows))

    def labels(self) -> Int[Tensor, " len"]:
        if self._labels is None:
            remedy = "give them as a pair (images, labels)" if self.file is None else ARRAYS_NEED
            raise UserError(f"{self.name} has no labels; {remedy}")
        return torch.from_numpy(self._labels.astype(np.int64))


def open_source(request: Request) -> ArraySource | None:
    """The source of an array, an array file or a pair (images, labels); None for anything else."""
    data, name = request.data, "array"
    images: Any
    labels: Any = None
    if isinstance(data, Path):
        if data.suffix.lower() not in (".npy", ".npz") or not data.is_file():
            return None
        name = data.stem + (f":{request.split}" if request.split else "")
        images, labels = _load(data, request.split)
    elif isinstance(data, tuple) and len(data) == 2 and _is_array(data[0]):
        images, labels = data
    elif _is_array(data):
        images = data
    else:
        return None
    pixels = planes(images, name, request.read_options.channels)
    numbers, classes = (None, []) if labels is None else numbered(labels, len(pixels), name)
    if not classes:
        numbers = None
    file = data if isinstance(data, Path) else None
    return ArraySource(pixels, numbers, name=name, classes=classes, range=request.read_options.range, file=file)


def splits(path: Path) -> list[str]:
    """The splits of an `.npz` that holds several, as `x_train` and `x_test`, or `train_images` and so on."""
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        # Opening it says what is wrong.
        return []
    found = {}
    for key in keys:
        for image_key in IMAGE_KEYS:
            if key.lower().startswith(image_key + "_") or key.lower().endswith("_" + image_key):
                found[key.lower().removeprefix(image_key + "_").removesuffix("_" + image_key)] = True
    return list(found)


def planes(images: Any, name: str, channels: int | None = None) -> Shaped[np.ndarray, "n c h w"]:
    """A view of any supported array with axes n, c, h, w; the module says which axis is which.

    `channels`: how many there are, where that is known.
    """
    torch_order = isinstance(images, Tensor)
    if torch_order:
        images = images.detach().cpu()
        images = (images.float() if images.dtype == torch.bfloat16 else images).numpy()
    shape = tuple(images.shape)
    if images.dtype.kind not in "buif":
        raise UserError(f"{name}: images must be numbers, got an array of {images.dtype}")
    if len(shape) == 3 and shape[2] > 4:
        images = images[:, None]
    elif len(shape) == 4 and (axes := _channel_axes(shape, channels)):
        images = images if axes == [1] or (torch_order and 1 in axes) else images.transpose(0, 3, 1, 2)
    else:
        raise UserError(
            f"{name}: images must be shaped (n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1 or 3, got {shape}"
            + ("; --channels says how many others there are" if len(shape) == 4 else "")
        )
    if 0 in shape:
        raise UserError(f"{name} holds no image, its shape is {shape}")
    return images


def _channel_axes(shape: tuple[int, ...], channels: int | None) -> list[int]:
    """The axes that may be the channels: those of as many, or of 1 or 3, or of far fewer than the sides have pixels."""
    if channels not in (None, 1, 3) and channels in (shape[1], shape[3]):
        return [axis for axis in (1, 3) if shape[axis] == channels]
    if usual := [axis for axis in (1, 3) if shape[axis] in (1, 3)]:
        return usual
    sides = {1: min(shape[2:]), 3: min(shape[1:3])}
    return [axis for axis in (1, 3) if CLEARLY * shape[axis] <= sides[axis]]


def _extent(pixels: Shaped[np.ndarray, "n c h w"]) -> Extent | None:
    """Of the numbers in all rows."""
    at_once = max(1, BLOCK // max(1, pixels[0].size))
    return find_extent(pixels[i : i + at_once] for i in np.arange(0, len(pixels), at_once))


def _kept_extent(pixels: Shaped[np.ndarray, "n c h w"], file: Path, name: str) -> Extent | None:
    """The same, of an array in a file that is read as a whole only once."""
    about = file.stat()
    key = digest([file.resolve(), about.st_size, about.st_mtime_ns, about.st_ino, name, pixels.shape])
    return Extent.of(cached("ranges", key, lambda _: {"extent": _extent(pixels)})[1]["extent"])


def _beyond(extent: Extent | None, range: Range) -> list[str]:
    """That some numbers of an array are out of the range that was given."""
    if extent is None or (range[0] <= extent.low and extent.high <= range[1]):
        return []
    return [f"its values are from {spell(extent.low)} to {spell(extent.high)}: those outside are clipped"]


def _usual(pixels: Shaped[np.ndarray, "..."]) -> Range:
    return USUAL["f" if pixels.dtype.kind == "f" else "i"]


def levels(rows: Shaped[np.ndarray, "n c h w"], name: str, range: Range | None = None) -> UInt8[np.ndarray, "n c h w"]:
    """Rows of any supported type as uint8; `range`: of numbers that are no bytes, if it is not the usual one.

    Raises `UserError` where a value is not finite, or without a range out of the usual one.
    """
    if rows.dtype == np.uint8:
        return rows
    if rows.dtype.kind == "b":
        return rows.astype(np.uint8) * 255
    _check(rows, name, None if range else _usual(rows))
    return Levels(range or _usual(rows))(rows)


def _check(rows: Shaped[np.ndarray, "n c h w"], name: str, usual: Range | None) -> None:
    """Raise `UserError` where a value is not finite, or out of the usual range, if there is one."""
    low, high = rows.min(), rows.max()
    least, most = usual or (-np.inf, np.inf)
    # Written so that NaN fails too.
    if not (low >= least and high <= most and np.isfinite(float(high) - float(low))):
        rule = f"lie between {least:g} and {most:g}" if usual else "be finite"
        raise UserError(
            f"{name}: {rows.dtype} images must {rule}, got values from {low} to {high}; scale them, or give uint8"
        )


def numbered(labels: Any, count: int, name: str, names: Sequence[str] = ()) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Labels of any kind (whole numbers, text) as numbers from 0, and the class names they stand for.

    Whole numbers that count within `names` stay what they are and get these names. What means that there is no label
    (`mean_no_label`) is -1; where there is none at all, there are no classes.
    """
    labels = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"{name}: {count:,} images need as many labels, got labels of shape {labels.shape}")
    if labels.dtype.kind in "Of":
        given = np.array([not is_missing(label) for label in labels.tolist()])
        if not given.all():
            numbers, classes, some = np.full(count, -1), list[str](), np.asarray(labels[given].tolist())
            if len(some):
                numbers[given], classes = numbered(some, len(some), name, names)
            return numbers, classes
        if labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels)):
            labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuUS":
        raise UserError(f"{name}: labels must be whole numbers or text, got {labels.dtype}")
    values, positions = np.unique(labels, return_inverse=True)
    known = values.tolist()
    is_class = ~np.array(mean_no_label(known), dtype=bool)
    chosen = values[is_class]
    if names and len(chosen) and chosen.dtype.kind in "iu" and chosen.min() >= 0 and chosen.max() < len(names):
        return np.where(is_class, values.astype(np.int64), -1)[positions], list(names)
    classes = [value.decode() if isinstance(value, bytes) else str(value) for value in chosen.tolist()]
    return np.where(is_class, is_class.cumsum() - 1, -1)[positions].astype(np.int64), classes


def _is_array(data: Any) -> bool:
    return isinstance(data, np.ndarray | Tensor)


def _load(path: Path, split: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        if path.suffix.lower() == ".npy":
            if split:
                raise UserError(f"{path} is one array and has no split {split!r}")
            return np.load(path, mmap_mode="r", allow_pickle=False), None
        with zipfile.ZipFile(path) as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        images = _find(keys, IMAGE_KEYS, split)
        if images is None:
            raise UserError(
                f"{path} holds no images{f' of a split {split!r}' if split else ''}: looked for "
                f"{', '.join(_named(IMAGE_KEYS[:2], split))}; it holds {', '.join(keys) or 'nothing'}"
            )
        labels = _find(keys, LABEL_KEYS, split)
        pixels, numbers = _member(path, images), None if labels is None else _member(path, labels)
        # Labels that are not as many are refused without being read.
        return pixels, np.array(numbers) if numbers is not None and numbers.size == len(pixels) else numbers
    except DAMAGED as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read as an array: {' '.join(str(error).split())}") from error


def _named(keys: Sequence[str], split: str | None) -> list[str]:
    return [name for key in keys for name in ([f"{key}_{split}", f"{split}_{key}"] if split else [key])]


def _find(keys: list[str], wanted: Sequence[str], split: str | None) -> str | None:
    lower = {key.lower(): key for key in keys}
    return next((lower[name] for name in _named(wanted, split) if name in lower), None)


def _member(path: Path, key: str) -> np.ndarray:
    """One array of an `.npz`, memory-mapped from a copy unpacked into the cache."""

    def build(building: Path) -> dict[str, Any]:
        with zipfile.ZipFile(path) as archive:
            _check_unpacked(path, archive.getinfo(f"{key}.npy"), building)
            with archive.open(f"{key}.npy") as packed, (building / "array.npy").open("wb") as out:
                shutil.copyfileobj(packed, out)  # no more than it claims
        return {}

    stat = path.stat()
    folder, _ = cached("unpacked", digest([path.resolve(), stat.st_size, stat.st_mtime_ns, key]), build)
    return np.load(folder / "array.npy", mmap_mode="r", allow_pickle=False)


def _check_unpacked(path: Path, member: zipfile.ZipInfo, folder: Path) -> None:
    """Raise `UserError` for a member of an archive that would fill the disk, or claims what its bytes cannot hold."""
    if member.file_size > MOST_PACKED * member.compress_size + SMALL:
        raise UserError(
            f"{path}: {member.filename} claims {member.file_size:,} bytes, more than {MOST_PACKED:,} times the "
            f"{member.compress_size:,} that it is packed in: save it again with numpy.savez"
        )
    free = shutil.disk_usage(folder).free
    if member.file_size > free:
        raise UserError(
            f"{path}: {member.filename} takes {member.file_size:,} bytes in the cache, {cache_folder()}, where "
            f"{free:,} are free: make room there, or name another folder in the environment variable LIKEWISE_CACHE"
        )
