"""Arrays of a run: `.npz` archives, written atomically, read without unpickling."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from likewise.atomic import write_atomically
from likewise.runs.files import check_file

if TYPE_CHECKING:
    from torch import Tensor

Arrays = dict[str, Shaped[np.ndarray, "..."]]
"""By name."""

LARGEST_ARCHIVE = 2**32
"""Bytes of an archive: the gallery of ten thousand photographs has a third."""
MOST_PACKED = 20
"""Times that an archive may grow when it is unpacked: what we write is not packed at all."""


def read_arrays(path: Path) -> Arrays:
    """All arrays of an archive; objects are refused, and what would need far more memory than the file has bytes."""
    check_file(path, LARGEST_ARCHIVE)
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MOST_PACKED * path.stat().st_size + 2**20:
        raise ValueError(f"{unpacked:,} bytes when unpacked, from {path.stat().st_size:,}")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Replace an archive atomically."""
    write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def as_array(values: Tensor | np.ndarray | None) -> np.ndarray | None:
    """A tensor, from any device, as an array; what is an array, or None, stays."""
    if values is None or isinstance(values, np.ndarray):
        return values
    return values.detach().cpu().numpy()


def check_array(name: str, array: Any, kinds: str, ndim: int) -> None:
    """Raise `ValueError` unless the array has so many axes and a dtype of these kinds (see `numpy.dtype.kind`)."""
    if array.dtype.kind not in kinds or array.ndim != ndim:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")


def check_indices(name: str, array: Any, ndim: int, count: int) -> None:
    """Raise `ValueError` unless the array has so many axes and holds whole numbers in [0, count)."""
    check_array(name, array, "iu", ndim)
    if array.size and not (array.min() >= 0 and array.max() < count):
        raise ValueError(f"{name} must be from 0 to {count - 1}, got {array.min()} to {array.max()}")
