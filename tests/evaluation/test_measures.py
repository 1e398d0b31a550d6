import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from likewise.evaluation.measures import (
    balanced_accuracy,
    class_accuracies,
    confusion_matrix,
    entries,
    interval,
    macro_f1,
    paired_differences,
    summarize,
)


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


@pytest.mark.parametrize("seed", range(5))
def test_balanced_accuracy_and_macro_f1_are_scikit_learns(seed):
    """Also for a class without samples that is predicted, and one that is neither."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2], 60, p=[0.8, 0.15, 0.05])
    predicted = np.where(rng.random(60) < 0.6, truth, rng.integers(0, 4, 60))
    confusion = confusion_matrix(torch.from_numpy(truth), torch.from_numpy(predicted), 5)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert balanced_accuracy(confusion) == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert macro_f1(confusion) == pytest.approx(f1_score(truth, predicted, average="macro"))


def trials(protocol, count, accuracies):
    return [
        {"protocol": protocol, "labels_per_class": count, "seed": seed, "accuracy": accuracy}
        for seed, accuracy in enumerate(accuracies)
    ]


def test_differences_are_paired():
    """Draws differ more than protocols do: the paired interval is scipy's, and narrow."""
    ours, theirs = [0.50, 0.71, 0.62], [0.45, 0.64, 0.57]
    measured = trials("frozen", 1, ours) + trials("scratch", 1, theirs)
    (row,) = paired_differences(measured, [("frozen", "scratch")])
    test = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (row["protocol"], row["versus"], row["labels_per_class"], row["seeds"]) == ("frozen", "scratch", 1, 3)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (np.mean(ours) - np.mean(theirs), test.low, test.high)
    )
    assert row["low"] > 0
    assert interval(ours)[1] < interval(theirs)[2], "their own intervals overlap"


def test_one_trial_stands_for_all_seeds():
    """With all labels a frozen encoder has no randomness."""
    measured = trials("frozen", "all", [0.9]) + trials("scratch", "all", [0.8, 0.84])
    (row,) = paired_differences(measured, [("frozen", "scratch")])
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(interval([0.1, 0.06]))
    (single,) = paired_differences(measured[:2], [("frozen", "scratch")])
    assert (single["mean"], single["low"], single["seeds"]) == (pytest.approx(0.1), None, 1)
    assert paired_differences(measured, [("frozen", "untrained")]) == []
