import pytest
import torch
from evaluation_inputs import noise

from likewise.evaluation.labels import draw_labels, rank_in_class, shared_labels

LABELS = torch.tensor([0] * 30 + [1] * 50 + [2] * 12)


@pytest.mark.parametrize("count", [1, 4, 12])
def test_draws_are_stratified_without_repeats(count):
    drawn = draw_labels(LABELS, count, seed=0)
    assert torch.bincount(LABELS[drawn]).tolist() == [count] * 3
    assert len(drawn.unique()) == len(drawn)


def test_all_draws_everything():
    assert draw_labels(LABELS, "all", seed=3).sort().values.tolist() == list(range(len(LABELS)))


def test_draws_are_nested_and_differ_by_seed():
    few, more, everything = (draw_labels(LABELS, count, seed=1) for count in (2, 10, "all"))
    assert torch.equal(few, more[: len(few)])
    assert torch.equal(more, everything[: len(more)])
    assert torch.equal(more, draw_labels(LABELS, 10, seed=1))
    assert set(more.tolist()) != set(draw_labels(LABELS, 10, seed=2).tolist())


def test_rank_counts_earlier_entries_of_the_class():
    assert rank_in_class(torch.tensor([5, 5, 1, 5, 1])).tolist() == [0, 1, 0, 2, 1]


def test_classes_are_matched_by_name_and_absent_ones_left_out():
    train, test = noise(40, 0, "a"), noise(8, 1, "b")
    train.classes = ["c0", "empty", "c1", "c2", "c3"]
    train._labels = torch.tensor([0, 2, 3, 4] * 10)
    test.classes = ["c3", "c2", "c1", "c0"]
    classes, train_labels, test_labels = shared_labels(train, test)
    assert classes == ["c0", "c1", "c2", "c3"]
    assert train_labels.tolist() == [0, 1, 2, 3] * 10
    assert test_labels.tolist() == [3, 2, 1, 0] * 2
