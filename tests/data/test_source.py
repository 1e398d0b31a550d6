"""Subsets, joined sources and held-out parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likewise.data.arrays import ArraySource
from likewise.data.open import open_source
from likewise.data.source import Fitted, Indices, Joined, Source, Subset, hold_out, natural_sort
from likewise.errors import UserError


def levels(count: int, start: int = 0, labels: list[int] | None = None) -> Source:
    """Sample i is filled with the level start + i."""
    images = np.broadcast_to(np.arange(start, start + count, dtype=np.uint8)[:, None, None], (count, 8, 8))
    return open_source(images if labels is None else (images, labels))


def values(source: Source, indices: list[int]) -> list[int]:
    return source.read(torch.tensor(indices, dtype=torch.int64))[:, 0, 0, 0].tolist()


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
    ids = Fitted(Subset(source, indices), size=4, channels=None).ids
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


def test_hold_out_is_stratified_disjoint_and_repeatable() -> None:
    labels = [0] * 50 + [1] * 10 + [2] * 2 + [3]
    source = levels(63, labels=labels)
    train, test = hold_out(source)
    assert torch.bincount(test.labels(), minlength=4).tolist() == [10, 2, 1, 0]
    assert sorted([*train.indices.tolist(), *test.indices.tolist()]) == list(range(63))
    assert (train.name, test.name) == ("array:train", "array:test")
    assert torch.equal(hold_out(source)[1].indices, test.indices)
    assert train.indices.tolist() == sorted(train.indices.tolist())
    assert test.indices.tolist() == sorted(test.indices.tolist())


def named(ids: list[str]) -> ArraySource:
    """Samples of these ids, labelled with what stands before their dash."""
    classes = sorted({name.partition("-")[0] for name in ids})
    labels = np.array([classes.index(name.partition("-")[0]) for name in ids])
    source = ArraySource(np.zeros((len(ids), 1, 2, 2), np.uint8), labels, name="named", classes=classes)
    source.ids = ids
    return source


@pytest.mark.parametrize("new", ["a-new", "a-0000", "b-new", "c-0", "zebra-0"])
def test_a_new_sample_moves_at_most_one_other_between_the_held_out_parts(new: str) -> None:
    ids = [f"{label}-{i}" for label in "abz" for i in range(40)]
    before, after = (set(hold_out(named(sorted(names)))[1].ids) for names in (ids, [*ids, new]))
    assert len(before) == 24
    assert len(before ^ after - {new}) <= 1


def test_hold_out_depends_on_ids_not_on_their_order() -> None:
    ids = [f"{label}-{i}" for label in "ab" for i in range(30)]
    assert set(hold_out(named(ids))[1].ids) == set(hold_out(named(ids[::-1]))[1].ids)
    assert set(hold_out(named(ids))[1].ids) != {f"{label}-{i}" for label in "ab" for i in range(6)}


def test_hold_out_refuses() -> None:
    with pytest.raises(UserError, match="no class has two samples"):
        hold_out(levels(2, labels=[0, 1]))
    with pytest.raises(UserError, match="has no labels"):
        hold_out(levels(4))


def test_natural_sort() -> None:
    assert natural_sort(["b", "a10", "a2", "a", "10", "9"]) == ["9", "10", "a", "a2", "a10", "b"]


def test_indices() -> None:
    ids = Indices(10**9)
    assert (len(ids), ids[123], ids[-1], ids[2:4]) == (10**9, "123", "999999999", ["2", "3"])
    with pytest.raises(IndexError):
        ids[10**9]
