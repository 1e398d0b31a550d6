"""Published sets of images by name: read from the files that their authors give out, never unpickled."""

from __future__ import annotations

import contextlib
import gzip
import os
import pickle
import shutil
import socket
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from likewise.data.arrays import ArraySource
from likewise.data.cache import cached, digest
from likewise.data.request import Request
from likewise.data.source import Joined, Source
from likewise.errors import UserError, nearest

# The package `dataset-fashion-mnist` of Debian and its derivatives puts the files here.
SYSTEM_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION = [
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
]
DIGITS_TRAIN = 1297
CIFAR_SHAPE = (3, 32, 32)
STL10_SHAPE = (3, 96, 96)
CONNECT_SECONDS = 10.0


def open_source(request: Request) -> Source | None:
    """The named set, None for anything that is not a name. The split is `train` by default."""
    if not isinstance(request.data, str):
        return None
    opener, known = SETS[request.data]
    split = request.split or "train"
    if split not in known:
        raise UserError(f"{request.data} has no split {split!r}{nearest(split, known)}; it has {', '.join(known)}")
    return opener(split, Path(request.root or os.environ.get("LIKEWISE_DATA") or "data"))


def digits(split: str, root: Path) -> ArraySource:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, levels 0..16 scaled to 0..255.

    `train` is the first 1,297, `test` the last 500. The set is in order of its writers, so that the test
    digits come from other writers than the training digits (but for the one at the cut, if it falls within
    a writer's share): harder than a random split, where every writer is on both sides.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    part = slice(None, DIGITS_TRAIN) if split == "train" else slice(DIGITS_TRAIN, None)
    pixels = np.round(bunch.images[part] * (255 / 16)).astype(np.uint8)[:, None]
    classes = [str(digit) for digit in range(10)]
    return ArraySource(pixels, bunch.target[part], name=f"digits:{split}", classes=classes)


def mnist(split: str, root: Path) -> ArraySource:
    """LeCun et al. 1998: 60,000 + 10,000 digits of 28 x 28."""
    folders = (root / "MNIST" / "raw", root / "mnist", root)
    return _idx_set("mnist", split, root, folders, [str(digit) for digit in range(10)])


def fashion_mnist(split: str, root: Path) -> ArraySource:
    """Xiao et al. 2017, arXiv:1708.07747: 60,000 + 10,000 articles of clothing of 28 x 28."""
    folders = (root / "FashionMNIST" / "raw", root / "fashion-mnist", root, SYSTEM_FASHION_MNIST)
    return _idx_set("fashion-mnist", split, root, folders, FASHION)


def cifar10(split: str, root: Path) -> Source:
    """Krizhevsky 2009: 50,000 + 10,000 colour images of 32 x 32, binary or Python version."""
    batches = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]
    if split == "test":
        batches = ["test_batch"]
    return _cifar("cifar10", split, root, ("cifar-10-batches-bin", "cifar-10-batches-py"), batches)


def cifar100(split: str, root: Path) -> Source:
    """Krizhevsky 2009: 50,000 + 10,000 colour images of 32 x 32 in 100 (fine) classes."""
    return _cifar("cifar100", split, root, ("cifar-100-binary", "cifar-100-python"), [split])


def stl10(split: str, root: Path) -> Source:
    """Coates et al. 2011: colour images of 96 x 96, 5,000 `train`, 8,000 `test`, 100,000 `unlabeled`.

    Also `train+unlabeled`. The files stay on the disk, memory-mapped.
    """
    parts = split.split("+")
    files = [f"{part}_X.bin" for part in parts] + [f"{part}_y.bin" for part in parts if part != "unlabeled"]
    folder = _folder("stl10", root, [([root / "stl10_binary", root], files)])
    sources = [STL10(folder, part) for part in parts]
    return sources[0] if len(sources) == 1 else Joined(sources, name=f"stl10:{split}")


SETS: dict[str, tuple[Callable[[str, Path], Source], tuple[str, ...]]] = {
    "digits": (digits, ("train", "test")),
    "mnist": (mnist, ("train", "test")),
    "fashion-mnist": (fashion_mnist, ("train", "test")),
    "cifar10": (cifar10, ("train", "test")),
    "cifar100": (cifar100, ("train", "test")),
    "stl10": (stl10, ("train", "test", "unlabeled", "train+unlabeled")),
}


class STL10(ArraySource):
    """One part of STL-10; of a labelled part, `folds()` are the published subsets to train on."""

    def __init__(self, folder: Path, part: str) -> None:
        self.folder = folder
        # Each plane is stored column by column.
        pixels = _records(folder / f"{part}_X.bin", STL10_SHAPE).transpose(0, 1, 3, 2)
        if part == "unlabeled":
            super().__init__(pixels, name="stl10:unlabeled")
            return
        labels = _records(folder / f"{part}_y.bin", ())
        _same_length(len(pixels), len(labels), folder / f"{part}_y.bin")
        names = _lines(folder / "class_names.txt") or [str(label) for label in range(1, 11)]
        super().__init__(pixels, labels - 1, name=f"stl10:{part}", classes=names)

    def folds(self) -> list[Int[Tensor, " fold"]]:
        """The ten published folds of 1,000 training images each, as indices into `stl10:train`."""
        path = self.folder / "fold_indices.txt"
        if self.name != "stl10:train":
            raise UserError(f"the folds of STL-10 are subsets of stl10:train, not of {self.name}")
        folds = [torch.tensor([int(index) for index in line.split()]) for line in _lines(path)]
        if not folds:
            raise UserError(f"{path} is missing: it lists the folds of STL-10")
        return folds


def _idx_set(name: str, split: str, root: Path, folders: Sequence[Path], classes: list[str]) -> ArraySource:
    stem = "train" if split == "train" else "t10k"
    files = [f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"]
    folder = _folder(name, root, [(folders, files)])
    pixels, labels = (_idx(folder / file, axes) for file, axes in zip(files, (3, 1), strict=True))
    _same_length(len(pixels), len(labels), folder / files[1])
    if len(labels) and (label := int(labels.max())) >= len(classes):
        rule = f"labels from 0 to {len(classes) - 1}"
        raise UserError(f"{folder / files[1]} must hold {rule}, got {label}: fetch it again")
    return ArraySource(pixels[:, None], labels, name=f"{name}:{split}", classes=classes)


def _idx(path: Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """The array of an IDX file, memory-mapped; of a .gz, from a copy unpacked into the cache."""
    if not path.exists():
        path = _unpacked(path.with_name(path.name + ".gz"))
    with path.open("rb") as file:
        start = file.read(4 + 4 * axes)
    shape = tuple(np.frombuffer(start[4 : len(start) // 4 * 4], dtype=">u4").tolist())
    is_idx = len(start) == 4 + 4 * axes and start[:4] == bytes((0, 0, 8, axes))
    if not is_idx or path.stat().st_size != len(start) + np.prod(shape, dtype=np.int64):
        raise UserError(f"{path} is not a whole IDX file of bytes with {axes} axes (a truncated download?)")
    return np.memmap(path, dtype=np.uint8, mode="r", offset=len(start), shape=shape)


def _unpacked(path: Path) -> Path:
    def build(building: Path) -> dict[str, Any]:
        try:
            with gzip.open(path) as packed, (building / path.stem).open("wb") as out:
                shutil.copyfileobj(packed, out)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UserError(f"{path} is damaged (a truncated download?): {error}") from error
        return {}

    stat = path.stat()
    return cached("unpacked", digest([path.resolve(), stat.st_size, stat.st_mtime_ns]), build)[0] / path.stem


def _cifar(name: str, split: str, root: Path, folders: tuple[str, str], batches: list[str]) -> Source:
    binary, python = (root / folder for folder in folders)
    layouts = [([binary, root], [f"{batch}.bin" for batch in batches]), ([python, root], batches)]
    folder = _folder(name, root, layouts)
    classes = _cifar_classes(folder)
    sources = []
    for batch in batches:
        if (folder / f"{batch}.bin").is_file():
            # A record is its labels, of which the last is the finest, then the pixels.
            records = _records(folder / f"{batch}.bin", (3073 if name == "cifar10" else 3074,))
            pixels, labels = records[:, -3072:].reshape(-1, *CIFAR_SHAPE), records[:, -3073]
        else:
            pixels, labels = _pickled(folder / batch)
        sources.append(ArraySource(pixels, labels, name=f"{name}:{split}", classes=classes))
    return sources[0] if len(sources) == 1 else Joined(sources, name=f"{name}:{split}")


def _cifar_classes(folder: Path) -> list[str]:
    for file in ("batches.meta.txt", "fine_label_names.txt"):
        if names := _lines(folder / file):
            return names
    for file, key in (("batches.meta", b"label_names"), ("meta", b"fine_label_names")):
        if (folder / file).is_file():
            return [name.decode() for name in _unpickled(folder / file)[key]]
    return [str(label) for label in range(100 if "100" in folder.name else 10)]


def _pickled(path: Path) -> tuple[UInt8[np.ndarray, "n 3 32 32"], Int[np.ndarray, " n"]]:
    """One batch of CIFAR's Python version, copied into the cache once and memory-mapped from there."""

    def build(building: Path) -> dict[str, Any]:
        batch = _unpickled(path)
        labels = batch.get(b"fine_labels") or batch.get(b"labels")
        data = batch.get(b"data")
        if not isinstance(data, _Array) or not isinstance(labels, list):
            raise UserError(f"{path} is no batch of CIFAR: it lacks data or labels")
        (building / "pixels.u8").write_bytes(data.content)
        return {"labels": labels}

    stat = path.stat()
    folder, metadata = cached("unpacked", digest([path.resolve(), stat.st_size, stat.st_mtime_ns]), build)
    pixels = _records(folder / "pixels.u8", CIFAR_SHAPE)
    _same_length(len(pixels), len(metadata["labels"]), path)
    return pixels, np.array(metadata["labels"], dtype=np.int64)


class _Array:
    """Takes the place of a NumPy array in a pickle: keeps its bytes and interprets nothing."""

    content = b""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.content = bytes(state[-1])


class _Type:
    """Takes the place of a NumPy dtype, and of the name of the array class, in a pickle."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    """Knows the three names that the files of CIFAR hold, as the inert classes above, and no other name.

    So no code runs but that of the classes above, whatever the file says.
    """

    NAMES: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Type,
        ("numpy", "dtype"): _Type,
    }

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in self.NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which has no place in it")
        return self.NAMES[module, name]


def _unpickled(path: Path) -> dict[bytes, Any]:
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="bytes").load()
    except Exception as error:
        raise UserError(f"{path} is no file of CIFAR or is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no file of CIFAR: it holds a {type(content).__name__}")
    return {key.encode() if isinstance(key, str) else key: value for key, value in content.items()}


def _records(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """A file of equal records of bytes, memory-mapped."""
    record, size = int(np.prod(shape)), path.stat().st_size
    if size == 0 or size % record:
        raise UserError(f"{path} has {size:,} bytes, not a multiple of {record:,} (a truncated download?)")
    return np.memmap(path, dtype=np.uint8, mode="r", shape=(size // record, *shape))


def _same_length(pixels: int, labels: int, path: Path) -> None:
    if pixels != labels:
        raise UserError(f"{path} has {labels:,} labels for {pixels:,} images (a truncated download?)")


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip()] if path.is_file() else []


def _folder(name: str, root: Path, layouts: Sequence[tuple[Sequence[Path], list[str]]]) -> Path:
    """The first folder that holds all the files of its layout; they are downloaded if none does."""

    def found() -> Path | None:
        for folders, files in layouts:
            for folder in folders:
                if all((folder / f).is_file() or (folder / f"{f}.gz").is_file() for f in files):
                    return folder
        return None

    folder = found()
    if folder is None:
        try:
            download(name, root)
            failure = "the download lacks them"
        except (OSError, RuntimeError) as error:
            failure = "downloading them failed: " + " ".join(str(getattr(error, "reason", error)).split())
        folder = found()
    if folder is None:
        folders, files = layouts[0]
        raise UserError(
            f"the files of {name} are missing: put {', '.join(files)} into {folders[0]}, "
            f"or say with root (--root) where they are; {failure}"
        )
    return folder


def download(name: str, root: Path) -> None:
    """Fetch a set into `root` as torchvision lays it out. Raises OSError or RuntimeError if it cannot."""
    from torchvision import datasets
    from torchvision.datasets.utils import download_and_extract_archive

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        # torchvision reports on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            if name in ("mnist", "fashion-mnist"):
                (datasets.MNIST if name == "mnist" else datasets.FashionMNIST)(root, download=True)
            else:
                # Its own classes would go on to unpickle what they fetched.
                kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "stl10": datasets.STL10}[name]
                download_and_extract_archive(kind.url, root, filename=kind.filename, md5=kind.tgz_md5)
    finally:
        socket.setdefaulttimeout(before)
