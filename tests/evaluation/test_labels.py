import pytest
import torch
from evaluation_inputs import noise

from likewise.errors import UserError
from likewise.evaluation.labels import check_label_counts, draw_labels, label_notes, rank_in_class, shared_labels

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


def test_samples_without_a_label_are_never_drawn():
    labels = LABELS.clone()
    labels[::2] = -1
    drawn = draw_labels(labels, "all", seed=0)
    assert sorted(drawn.tolist()) == list(range(1, len(LABELS), 2))
    assert torch.bincount(labels[draw_labels(labels, 10, seed=0)]).tolist() == [10, 10, 6]


def test_notes_say_what_is_unlabelled_and_which_classes_have_few():
    labels = torch.tensor([0, 0, 0, 1, -1])
    notes = label_notes([1, 3, "all"], ("a", labels), ("b", torch.tensor([0, 1])), ["x", "y"])
    assert notes == [
        "labels of a: 4 of 5 samples; the others are left out.",
        "classes of a with fewer than 3 labels give what they have: y 1.",
    ]
    assert label_notes([1, "all"], ("a", labels[:4]), ("b", labels[:4]), ["x", "y"]) == []
    check_label_counts([3, "all"], labels, ["x", "y"], "a")
    with pytest.raises(UserError, match="must be at most 3, or 'all', got 4: class 'x' of a has only 3"):
        check_label_counts([4], labels, ["x", "y"], "a")


def test_sources_without_any_label_are_refused():
    train, test = noise(8, 0, "a"), noise(8, 1, "b")
    train._labels = torch.full((8,), -1)
    with pytest.raises(UserError, match="train must have at least one labelled sample, got none in a"):
        shared_labels(train, test)
