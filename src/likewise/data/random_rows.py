"""Rows and spans of an array at random places, also of a mapped file that is larger than the memory.

At each access to a mapped file the kernel reads on, by up to megabytes. That helps where rows are read in their order,
or where all of the file stays in memory. Of a larger file, what was read on beside a row of a shuffled batch is dropped
again before it is needed. Of such a file only what a batch needs is read, all of it at once.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Int, Shaped

LARGE = 4 * 2**30
"""Bytes of an array above which the kernel is told what is needed. A smaller one is soon in memory as a whole."""
TELLS = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED") and hasattr(mmap, "MADV_NORMAL")


def read_rows(array: Shaped[np.ndarray, "n ..."], rows: Int[np.ndarray, " m"]) -> Shaped[np.ndarray, "m ..."]:
    """`array[rows]`."""
    count = max(len(array), 1)
    size = array.size // count
    starts = rows % count * size
    with foreseen(array, starts, starts + size):
        return array[rows]


@contextmanager
def foreseen(
    array: Shaped[np.ndarray, "..."], starts: Int[np.ndarray, " m"], ends: Int[np.ndarray, " m"]
) -> Iterator[None]:
    """As long as this lasts, spans of an array are read, and nothing beside them.

    Args:
        array: they are only foreseen where it is large and lies in a mapped file.
        starts, ends: of the spans, as places among all numbers of the array, one after the other.
    """
    found = _mapping(array) if TELLS and array.nbytes > LARGE and array.flags.c_contiguous and len(starts) else None
    if found is None:
        yield
        return
    mapping, first = found
    mapping.madvise(mmap.MADV_RANDOM)
    try:
        for start, stop in page_runs(first + starts * array.itemsize, first + ends * array.itemsize):
            mapping.madvise(mmap.MADV_WILLNEED, start, min(stop, len(mapping)) - start)
        yield
    finally:
        mapping.madvise(mmap.MADV_NORMAL)  # others may read it in its order


def page_runs(starts: Int[np.ndarray, " m"], ends: Int[np.ndarray, " m"]) -> list[tuple[int, int]]:
    """Where the pages of spans of bytes begin and end; pages beside each other are one run."""
    order = np.argsort(starts)
    order = order[(starts < ends)[order]]
    if not len(order):
        return []
    begin = starts[order] // mmap.PAGESIZE * mmap.PAGESIZE
    end = np.maximum.accumulate(-(-ends[order] // mmap.PAGESIZE) * mmap.PAGESIZE)
    breaks = np.flatnonzero(begin[1:] > end[:-1]) + 1
    return list(zip(begin[np.r_[0, breaks]].tolist(), end[np.r_[breaks - 1, len(end) - 1]].tolist(), strict=True))


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
