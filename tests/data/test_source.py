"""Subsets, joined sources, held-out parts, and labels compared by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likewise.data import open_source
from likewise.data.source import Indices, Joined, Source, Subset, hold_out, labels_in, natural_sort
from likewise.errors import UserError


def levels(count: int, start: int = 0, labels: list[int] | None = None) -> Source:
    """Sample i is filled with the level start + i."""
    images = np.broadcast_to(np.arange(start, start + count, dtype=np.uint8)[:, None, None], (count, 8, 8))
    return open_source(images if labels is None else (images, labels))


def values(source: Source, indices: list[int]) -> list[int]:
    return source.read(torch.tensor(indices, dtype=torch.int64))[:, 0, 0, 0].tolist()


def test_subset_keeps_ids_labels_and_classes() -> None:
    subset = Subset(levels(5, labels=[7, 7, 8, 8, 9]), torch.tensor([4, 1]), name="part")
    assert (len(subset), subset.ids, subset.name) == (2, ["4", "1"], "part")
    assert subset.classes == ["7", "8", "9"]
    assert subset.labels().tolist() == [2, 0]
    assert values(subset, [1, 0, 1]) == [1, 4, 1]
    assert isinstance(subset, Source)
    assert Subset(levels(5), torch.tensor([0])).name == "array"


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
    assert not torch.equal(hold_out(source, seed=1)[1].indices, test.indices)
    assert len(hold_out(source, fraction=0.5)[1]) == 31


def test_hold_out_refuses() -> None:
    with pytest.raises(UserError, match="fraction must lie between 0 and 1, got 1"):
        hold_out(levels(4, labels=[0, 0, 1, 1]), fraction=1.0)
    with pytest.raises(UserError, match="no class has two samples"):
        hold_out(levels(2, labels=[0, 1]))
    with pytest.raises(UserError, match="has no labels"):
        hold_out(levels(4))


def test_labels_are_compared_by_name() -> None:
    source = levels(3, labels=[5, 9, 5])
    assert labels_in(source, ["3", "5", "7", "9"]).tolist() == [1, 3, 1]
    with pytest.raises(UserError, match=r"array has classes that the training labels lack: 9$"):
        labels_in(source, ["5"])


def test_natural_sort() -> None:
    assert natural_sort(["b", "a10", "a2", "a", "10", "9"]) == ["9", "10", "a", "a2", "a10", "b"]


def test_indices() -> None:
    ids = Indices(10**9)
    assert (len(ids), ids[123], ids[-1], ids[2:4]) == (10**9, "123", "999999999", ["2", "3"])
    with pytest.raises(IndexError):
        ids[10**9]
