"""Rows at random places of mapped files."""

from __future__ import annotations

import itertools
import mmap
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import small_scenes
from likewise.data import random_rows
from likewise.data.annotations.source import open_annotated
from likewise.data.batches import Ragged
from likewise.data.cache import using_cache
from likewise.data.open import open_source
from likewise.data.random_rows import foreseen, page_runs, read_rows
from likewise.data.tokens import fingerprint, tokenised, train_tokenizer

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


@given(st.lists(st.tuples(st.integers(0, 100 * PAGE), st.integers(0, 3 * PAGE)), max_size=30))
def test_runs_cover_the_spans_and_no_page_twice(spans: list[tuple[int, int]]) -> None:
    starts, sizes = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    runs = page_runs(starts, starts + sizes)
    pages = {page for start, size in spans if size for page in range(start // PAGE, (start + size - 1) // PAGE + 1)}
    assert {page for start, stop in runs for page in range(start // PAGE, stop // PAGE)} == pages
    assert all(stop < following for (_, stop), (following, _) in itertools.pairwise(runs))


@pytest.mark.skipif(not random_rows.TELLS, reason="the kernel cannot be told")
def test_spans_of_any_length(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_rows, "LARGE", 0)
    array = np.ndarray(5 * PAGE, np.int16, buffer=recorder)
    with foreseen(array, np.array([4 * PAGE, 0, 9]), np.array([4 * PAGE + 7, 3, 9])):
        assert recorder.told == [
            (mmap.MADV_RANDOM,),
            (mmap.MADV_WILLNEED, 0, PAGE),
            (mmap.MADV_WILLNEED, 8 * PAGE, PAGE),
        ]
    assert recorder.told[-1] == (mmap.MADV_NORMAL,)


@pytest.mark.skipif(not random_rows.TELLS, reason="the kernel cannot be told")
@pytest.mark.parametrize("kind", ["images", "recordings", "texts", "kept samples", "annotated images"])
def test_all_sources_foresee_what_they_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each mapped file of samples."""
    read = sources_of(tmp_path, kind)
    before, told = read(), []
    monkeypatch.setattr(random_rows, "LARGE", 0)
    monkeypatch.setattr(random_rows, "page_runs", lambda starts, ends: told.append(len(starts)) or [])
    assert torch.equal(read(), before)
    assert told == [2]


def sources_of(folder: Path, kind: str) -> Callable[[], Tensor]:
    """Reads two samples of a source of that kind."""
    chosen = torch.tensor([2, 0])
    source: Any
    if kind == "texts":
        texts = ["one two three four five six", "seven", "eight nine ten"]
        source = tokenised(texts, train_tokenizer(texts), 16, content=fingerprint(texts), name="texts")
    elif kind == "annotated images":
        scenes = small_scenes.as_masks(folder / "a", range(3))
        source = open_annotated(scenes, "masks", size=16, channels=3, progress=False)
    elif kind == "recordings":
        for number in range(3):
            soundfile.write(folder / f"{number}.wav", np.full(100 * (number + 1), 0.1 * number), 8000)
        source = open_source(folder, progress=False)
    else:
        small_scenes.images(folder / "images", range(3))
        place = folder / "images"
        if kind == "kept samples":
            place = folder / "a.tar"
            with tarfile.open(place, "w") as shard:
                shard.add(folder / "images", "images")
        with using_cache("1GB" if kind == "kept samples" else None):
            source = open_source(place, progress=False)

    def read() -> Tensor:
        batch = source.read(chosen)
        return batch.values if isinstance(batch, Ragged) else batch

    return read
