"""What is held out for a test."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likewise.data.arrays import ArraySource
from likewise.data.open import open_source
from likewise.data.source import Source, Subset
from likewise.data.splits import hold_out
from likewise.errors import UserError


def levels(count: int, labels: list[int] | None = None) -> Source:
    images = np.zeros((count, 8, 8), np.uint8)
    return open_source(images if labels is None else (images, labels))


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


def test_pieces_of_one_thing_stay_together_also_in_a_subset() -> None:
    source = levels(60, labels=[0, 1] * 30)
    source.groups = torch.arange(60) // 4 * 2 + torch.arange(60) % 2  # pairs of a class
    for data in (source, Subset(source, torch.arange(59, -1, -1))):
        train, test = hold_out(data)
        assert not set(train.groups.tolist()) & set(test.groups.tolist())
        assert 0 < len(test) < len(train)
