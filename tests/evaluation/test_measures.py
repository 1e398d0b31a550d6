import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import confusion_matrix as sklearn_confusion

from likewise.evaluation.measures import class_accuracies, confusion_matrix, entries, interval, summarize


@pytest.mark.parametrize("values", [[0.6, 0.7, 0.65], [0.1, 0.9], [0.5] * 4 + [0.52]])
def test_interval_is_scipys(values):
    mean, low, high = interval(values)
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (mean, low, high) == pytest.approx((np.mean(values), *expected), abs=1e-12)


def test_one_value_has_no_interval():
    assert interval([0.4]) == (0.4, None, None)


def test_confusion_is_scikit_learns_and_gives_class_accuracies():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (100,), generator=generator)
    predicted = torch.randint(4, (100,), generator=generator)
    confusion = confusion_matrix(truth, predicted, 4)
    assert confusion.tolist() == sklearn_confusion(truth, predicted, labels=range(4)).tolist()
    *accuracies, absent = class_accuracies(confusion)
    assert accuracies == pytest.approx([float((predicted[truth == c] == c).float().mean()) for c in range(3)])
    assert absent is None


def test_entries_are_those_that_are_not_zero():
    assert entries(torch.tensor([[2, 0, 1], [0, 0, 0], [0, 5, 0]])) == [[0, 0, 2], [0, 2, 1], [2, 1, 5]]
    assert entries(torch.zeros(2, 2, dtype=torch.int64)) == []


def test_summary_groups_by_protocol_and_label_count():
    trials = [
        {"protocol": protocol, "labels_per_class": count, "accuracy": accuracy, "seconds": 0.5}
        for protocol, count, accuracy in [("b", 1, 0.2), ("b", 1, 0.4), ("a", "all", 0.9)]
    ]
    first, second = summarize(trials)
    assert (first["protocol"], first["labels_per_class"], first["seeds"], first["seconds"]) == ("b", 1, 2, 1.0)
    assert (first["mean"], first["low"], first["high"]) == pytest.approx(interval([0.2, 0.4]))
    assert (second["protocol"], second["labels_per_class"], second["mean"], second["low"]) == (
        "a",
        "all",
        0.9,
        None,
    )
