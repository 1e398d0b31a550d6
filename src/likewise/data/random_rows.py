"""Rows of an array at random places, also of a mapped file that is larger than the memory.

At each access to a mapped file the kernel reads on, by up to megabytes. That helps where rows are read in their order,
or where all of the file stays in memory. Of a larger file, what was read on beside a row of a shuffled batch is dropped
again before it is needed. Of such a file only what a batch needs is read, all of it at once.
"""

from __future__ import annotations

import mmap

import numpy as np
from jaxtyping import Int, Shaped

LARGE = 4 * 2**30
"""Bytes of an array above which the kernel is told what is needed. A smaller one is soon in memory as a whole."""
TELLS = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED") and hasattr(mmap, "MADV_NORMAL")


def read_rows(array: Shaped[np.ndarray, "n ..."], rows: Int[np.ndarray, " m"]) -> Shaped[np.ndarray, "m ..."]:
    """`array[rows]`."""
    found = _mapping(array) if TELLS and array.nbytes > LARGE and array.flags.c_contiguous and len(rows) else None
    if found is None:
        return array[rows]
    mapping, first = found
    mapping.madvise(mmap.MADV_RANDOM)
    try:
        for start, stop in page_runs(first + rows % len(array) * array.strides[0], array.strides[0]):
            mapping.madvise(mmap.MADV_WILLNEED, start, min(stop, len(mapping)) - start)
        return array[rows]
    finally:
        mapping.madvise(mmap.MADV_NORMAL)  # others may read it in its order


def page_runs(starts: Int[np.ndarray, " m"], size: int) -> list[tuple[int, int]]:
    """Where the pages of spans of `size` bytes begin and end; pages beside each other are one run."""
    ordered = np.unique(starts)
    begin = ordered // mmap.PAGESIZE * mmap.PAGESIZE
    end = -(-(ordered + size) // mmap.PAGESIZE) * mmap.PAGESIZE
    breaks = np.flatnonzero(begin[1:] > end[:-1]) + 1
    firsts, lasts = np.r_[0, breaks], np.r_[breaks, len(ordered)] - 1
    return list(zip(begin[firsts].tolist(), end[lasts].tolist(), strict=True))


def _mapping(array: np.ndarray) -> tuple[mmap.mmap, int] | None:
    """The mapped file that an array lies in, and at which byte of it the array begins."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap):
        return None
    return base, _address(array) - _address(np.frombuffer(base, np.uint8))


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
