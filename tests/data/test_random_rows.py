"""Rows at random places of mapped files."""

from __future__ import annotations

import itertools
import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.data import random_rows
from likewise.data.random_rows import page_runs, read_rows

PAGE = mmap.PAGESIZE


class Recorder(mmap.mmap):
    """A mapped file that keeps what the kernel is told of it."""

    told: list[tuple[int, ...]]

    def madvise(self, option: int, *where: int) -> None:
        self.told.append((option, *where))
        super().madvise(option, *where)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    path = tmp_path / "rows.bin"
    path.write_bytes(np.random.default_rng(0).bytes(10 * PAGE + 77))
    with path.open("rb") as file:
        mapping = Recorder(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapping.told = []
    return mapping


@pytest.mark.skipif(not random_rows.TELLS, reason="the kernel cannot be told")
def test_only_the_pages_of_the_rows_are_asked_for(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_rows, "LARGE", 0)
    row = PAGE // 4
    array = np.ndarray((40, row), np.uint8, buffer=recorder, offset=77)
    rows = np.array([37, 0, 1, 12, -40])
    assert np.array_equal(read_rows(array, rows), np.array(array)[rows])
    wanted = [(mmap.MADV_WILLNEED, 0, PAGE), (mmap.MADV_WILLNEED, 3 * PAGE, PAGE), (mmap.MADV_WILLNEED, 9 * PAGE, PAGE)]
    assert recorder.told == [(mmap.MADV_RANDOM,), *wanted, (mmap.MADV_NORMAL,)]
    # The last row ends in a page that the file ends in.
    recorder.told.clear()
    assert np.array_equal(read_rows(array[:, None], np.array([39])), np.array(array)[[39], None])
    assert recorder.told[1] == (mmap.MADV_WILLNEED, 9 * PAGE, PAGE + 77)


def test_small_arrays_and_those_in_memory_are_only_indexed(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.ndarray((10, PAGE), np.uint8, buffer=recorder)
    assert np.array_equal(read_rows(array, np.array([3, 1])), np.array(array)[[3, 1]])
    monkeypatch.setattr(random_rows, "LARGE", 0)
    assert np.array_equal(read_rows(np.array(array), np.array([3, 1])), np.array(array)[[3, 1]])
    assert np.array_equal(read_rows(array[:, ::2], np.array([3, 1])), np.array(array)[[3, 1], ::2])
    assert read_rows(array, np.array([], dtype=np.int64)).shape == (0, PAGE)
    with pytest.raises(IndexError):
        read_rows(np.array(array), np.array([10]))
    assert recorder.told == []


@given(st.lists(st.integers(0, 100 * PAGE), min_size=1, max_size=30), st.integers(1, 3 * PAGE))
def test_runs_cover_the_spans_and_no_page_twice(starts: list[int], size: int) -> None:
    runs = page_runs(np.array(starts), size)
    pages = {page for start in starts for page in range(start // PAGE, (start + size - 1) // PAGE + 1)}
    assert {page for start, stop in runs for page in range(start // PAGE, stop // PAGE)} == pages
    assert all(stop < following for (_, stop), (following, _) in itertools.pairwise(runs))
