"""The defaults of a source, subsets and joined sources."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Indices, Joined, ResizedImages, Source, Subset, natural_sort
from likewise.errors import UserError


def levels(count: int, start: int = 0, labels: list[int] | None = None) -> Source:
    """Sample i is filled with the level start + i."""
    images = np.broadcast_to(np.arange(start, start + count, dtype=np.uint8)[:, None, None], (count, 8, 8))
    return open_source(images if labels is None else (images, labels))


def values(source: Source, indices: list[int]) -> list[int]:
    return source.read(torch.tensor(indices, dtype=torch.int64))[:, 0, 0, 0].tolist()


class Own(Source):
    """The least that a source of one's own has."""

    modality, name = "curve", "own"

    def __len__(self) -> int:
        return 3

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        return indices


def test_a_source_of_ones_own_has_defaults() -> None:
    source = Own()
    assert (list(source.ids), source.classes, source.skipped, source.notes) == (["0", "1", "2"], [], [], [])
    assert (source.lengths, source.groups, source.scores, source.parts) == (None, None, None, [])
    assert not source.has_own_targets
    assert source.fitted(ReadOptions(size=4)) is source
    assert open_source(source) is source
    with pytest.raises(UserError, match=r"^own has no labels$"):
        source.labels()
    source.classes = ["a"]
    assert (source.classes, Own().classes) == (["a"], [])


def test_subset_keeps_ids_labels_and_classes() -> None:
    subset = Subset(levels(5, labels=[7, 7, 8, 8, 9]), torch.tensor([4, 1]), name="part")
    assert (len(subset), list(subset.ids), subset.name) == (2, ["4", "1"], "part")
    assert subset.classes == ["7", "8", "9"]
    assert subset.labels().tolist() == [2, 0]
    assert values(subset, [1, 0, 1]) == [1, 4, 1]
    assert isinstance(subset, Source)
    assert Subset(levels(5), torch.tensor([0])).name == "array"


def test_ids_of_a_subset_are_looked_up_when_looked_at() -> None:
    """The type checker of the tests looks at a few, never at all."""
    looked: list[int] = []

    class Watched(Indices):
        def __getitem__(self, index: int | slice) -> str | list[str]:
            looked.append(index)
            return super().__getitem__(index)

    source = levels(5)
    source.ids = Watched(5)
    indices = torch.tensor([4, 1, 3, 0]).repeat(1000)
    ids = ResizedImages(Subset(source, indices), size=4, channels=None).ids
    assert (len(ids), ids[0], ids[-1], ids[1:3]) == (4000, "4", "0", ["1", "3"])
    assert len(looked) < 100
    with pytest.raises(IndexError):
        ids[4000]


def test_joined_reads_in_the_order_asked_for() -> None:
    joined = Joined([levels(3), levels(2, start=10), levels(4, start=20)], name="all")
    assert (len(joined), joined.name, list(joined.ids)[-1], joined.classes) == (9, "all", "8", [])
    assert values(joined, [8, 0, 3, 3, 2, 5]) == [23, 0, 10, 10, 2, 20]
    assert values(joined, [1, 0]) == [1, 0]
    assert values(joined, [4]) == [11]
    assert values(joined, []) == []
    with pytest.raises(UserError, match="no labels"):
        joined.labels()


def test_joined_labels() -> None:
    joined = Joined([levels(2, labels=[0, 1]), levels(3, labels=[1, 0, 1])], name="all")
    assert joined.labels().tolist() == [0, 1, 1, 0, 1]
    assert joined.classes == ["0", "1"]
    some = Joined([levels(2), levels(3, labels=[1, -1, 0]), levels(1, labels=[2])], name="some")
    assert some.classes == ["0", "1", "2"]
    assert some.labels().tolist() == [-1, -1, 1, -1, 0, 2]


def test_natural_sort() -> None:
    assert natural_sort(["b", "a10", "a2", "a", "10", "9"]) == ["9", "10", "a", "a2", "a10", "b"]


def test_indices() -> None:
    ids = Indices(10**9)
    assert (len(ids), ids[123], ids[-1], ids[2:4]) == (10**9, "123", "999999999", ["2", "3"])
    with pytest.raises(IndexError):
        ids[10**9]
