"""Heads, their cross-validation and their calibration, against what is known of made-up data."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from likewise.errors import UserError
from likewise.tasks.answers import AnswerRule
from likewise.tasks.calibration import (
    best_f1_threshold,
    calibration_error,
    fit_temperature,
    mean_of_shares,
    threshold_for_accuracy,
    threshold_for_coverage,
    wilson_interval,
)
from likewise.tasks.cross_validation import ALWAYS, held_out_scores, make_folds
from likewise.tasks.fitted_head import fit_head
from likewise.tasks.linear_head import Classification, Multilabel, Regression, softmax
from likewise.tasks.selection import margin_doubt, typical_samples, uncertain_samples
from likewise.tasks.targets import targets_of


def blobs(count: int, classes: int, *, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Normal clouds around points of length `apart` in 8 dimensions."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = apart * np.eye(8)[labels] + random.normal(size=(count, 8))
    return features.astype(np.float32), labels


def test_folds_hold_out_each_sample_once_and_some_of_each_class() -> None:
    labels = np.array([0] * 10 + [1] * 7 + [2] * 2 + [3])
    folds = make_folds(20, 0, classes=labels)
    assert (folds[labels == 3] == ALWAYS).all()
    for fold in range(5):
        assert set(labels[folds != fold]) == {0, 1, 2, 3}
        assert (labels[folds == fold] == 0).sum() == 2
    np.testing.assert_array_equal(folds, make_folds(20, 0, classes=labels))
    assert (folds != make_folds(20, 1, classes=labels)).any()
    groups = np.arange(20) // 2
    pieces = make_folds(20, 0, classes=np.arange(20) // 10, groups=groups)
    assert all(len(set(pieces[groups == group])) == 1 for group in range(10))


def test_cross_validation_is_at_chance_on_noise() -> None:
    """More dimensions than samples: a head that had seen the samples would know all of them."""
    random = np.random.default_rng(0)
    features, labels = random.normal(size=(100, 200)).astype(np.float32), np.arange(100) % 2
    fitted = fit_head(Classification(), features, labels, seed=0)
    assert 0.3 < fitted.figures["accuracy"]["mean"] < 0.7
    assert (fitted.head.scores(features).argmax(1) == labels).mean() > 0.7
    assert fitted.figures["calibration_error"]["after"] < 0.2
    copies = np.arange(100) // 2
    doubled, same = features[copies], labels[copies]
    leaking = held_out_scores(Classification(), doubled, same, 0, variance=10.0)
    grouped = held_out_scores(Classification(), doubled, same, 0, variance=10.0, groups=copies)
    assert (leaking.scores.argmax(1) == same[leaking.places]).mean() > 0.8
    assert (grouped.scores.argmax(1) == same[grouped.places]).mean() < 0.7


def test_two_classes_have_the_probabilities_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    features, labels = blobs(60, 2, apart=2)
    weight, bias = Classification().fit(features, labels, 8.0)
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(features, labels)
    np.testing.assert_allclose(softmax(features @ weight.T + bias), theirs.predict_proba(features), atol=1e-5)


def test_balanced_heads_find_more_of_a_rare_class() -> None:
    features, labels = blobs(400, 2, apart=1.5)
    rare = np.append((labels == 0).nonzero()[0], (labels == 1).nonzero()[0][:15])
    plain, balanced = (
        fit_head(Classification(), features[rare], labels[rare], seed=0, balanced=balanced).figures
        for balanced in (False, True)
    )
    assert balanced["recall"][1] > plain["recall"][1] + 0.1
    assert balanced["recall"][0] < plain["recall"][0]


def test_several_labels_and_numbers() -> None:
    features, labels = blobs(200, 4, apart=4)
    both = np.stack([labels < 2, labels % 2 == 0], axis=1)
    fitted = fit_head(Multilabel(), features, both, seed=0)
    assert fitted.figures["micro_f1"] > 0.9
    rule = AnswerRule("multilabel", ["low", "even"], fitted.temperature, None, fitted.thresholds)
    answers = rule.answers(fitted.head, features)
    assert answers.labels[0] == ["low", "even"]
    assert answers.labels[3] == []
    assert answers.abstained[3]
    values = features @ np.arange(8, dtype=np.float32) + 100
    fitted = fit_head(Regression(), features, values.astype(np.float64), seed=0)
    assert fitted.figures["r2"] > 0.95
    np.testing.assert_allclose(fitted.head.scores(features)[:, 0], values, atol=2)


def test_the_temperature_is_that_of_the_scores() -> None:
    """Labels drawn from the softmax of some logits: three times the logits need a temperature of three."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 5)) * 2
    labels = (softmax(logits).cumsum(1) < random.random((4000, 1))).sum(1).clip(0, 4)
    losses = Classification().losses
    assert fit_temperature(logits, labels, losses) == pytest.approx(1, abs=0.1)
    assert fit_temperature(3 * logits, labels, losses) == pytest.approx(3, abs=0.3)
    right = logits.argmax(1) == labels
    assert calibration_error(softmax(logits).max(1), right) < 0.03
    assert calibration_error(softmax(3 * logits).max(1), right) > 0.1
    # Nothing to learn from twenty samples of noise: no temperature is better on other folds.
    noise, halves = random.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
    assert fit_head(Classification(), noise, halves, seed=0).temperature >= 1
    # Ten right answers do not make a head certain.
    assert fit_temperature(5 * np.eye(5)[:5], np.arange(5), losses) > 0.5


def test_thresholds_reach_what_is_asked_for() -> None:
    confidence = np.array([0.9, 0.8, 0.8, 0.6, 0.5])
    right = np.array([True, True, False, True, False])
    assert threshold_for_coverage(confidence, 0.6) == 0.8
    assert threshold_for_coverage(confidence, 1.0) == 0.5
    assert threshold_for_accuracy(confidence, right, 0.95) == 0.9
    assert threshold_for_accuracy(confidence, right, 0.75) == 0.6
    assert threshold_for_accuracy(confidence, ~right, 0.95) is None
    assert best_f1_threshold(np.array([0.9, 0.7, 0.2]), np.array([True, True, False])) == pytest.approx(0.45)
    assert best_f1_threshold(np.array([0.9, 0.7]), np.array([False, False])) == 0.5
    features, labels = blobs(60, 2, apart=6)
    features[0] *= 10  # the surest of all, and wrong
    labels[0] = 1
    with pytest.raises(UserError, match="accuracy must be one that some threshold reaches, got 1"):
        fit_head(Classification(), features, labels, seed=0, accuracy=1.0)


def test_intervals() -> None:
    """Against the published example of Wilson's interval, 15 of 148 (Newcombe 1998)."""
    low, high = wilson_interval(15, 148)
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    assert wilson_interval(10, 10)[0] == pytest.approx(0.7225, abs=1e-3)
    mean, low, high = mean_of_shares(np.array([10, 5]), np.array([10, 10]))
    assert mean == 0.75
    assert 0.5 < low < 0.75 < high < 1


def test_what_labels_mean() -> None:
    assert targets_of(["b", "a", "b"], None, "x").classes == ["a", "b"]
    assert targets_of(["1", "2", "10"], None, "x", order=["1", "2", "10"]).classes == ["1", "2", "10"]
    several = targets_of(["a;b", "b", ";"], None, "x")
    assert (several.task, several.targets.tolist()) == ("multilabel", [[True, True], [False, True], [False, False]])
    numbers = targets_of(["1", "2.5"], None, "x")
    assert (numbers.task, numbers.targets.tolist()) == ("regression", [1, 2.5])
    for words, task, message in (
        (["a", "a"], None, r"labels must be of at least two classes, got one class \('a'\) in x"),
        (["1.5", "1.5"], None, "labels must be of at least two numbers, got only 1.5 in x"),
        (["1", "nan"], "regression", "labels must be numbers for regression, got 'nan' in x"),
        (["a;b", "a;b"], None, "labels must differ between samples, got 'a;b' for all in x"),
        ([], None, "labels must be given for at least one sample, got none in x"),
    ):
        with pytest.raises(UserError, match=message):
            targets_of(words, task, "x")


def test_typical_samples_are_of_all_clouds_and_in_their_middle() -> None:
    features, labels = blobs(400, 6, apart=8)
    none = np.zeros(400, dtype=bool)
    places = typical_samples(features, none, 6, seed=0)
    assert set(labels[places]) == set(range(6))
    middles = np.stack([features[labels == one].mean(0) for one in range(6)])
    distances = np.linalg.norm(features - middles[labels], axis=1)
    assert distances[places].mean() < 0.7 * distances.mean()
    labelled = labels < 3
    others = typical_samples(features, labelled, 3, seed=0)
    assert not labelled[others].any()
    alike = np.ones((30, 8), dtype=np.float32)
    assert len(set(typical_samples(alike, np.zeros(30, dtype=bool), 10, seed=0).tolist())) == 10
    every = typical_samples(features[:9], none[:9], 9, seed=0)
    assert sorted(every.tolist()) == list(range(9))


def test_uncertain_samples_lie_between_clouds_and_apart() -> None:
    features, labels = blobs(600, 3, apart=3)
    head = fit_head(Classification(), features, labels, seed=0).head
    doubt = margin_doubt(softmax(head.scores(features).astype(np.float64)))
    labelled = np.zeros(600, dtype=bool)
    labelled[:100] = True
    places = uncertain_samples(features, doubt, labelled, 12, seed=0)
    assert len(set(places.tolist())) == 12
    assert not labelled[places].any()
    assert doubt[places].mean() > 3 * doubt.mean()
    surest = np.argsort(-doubt[~labelled])[:12]
    spread = KMeans(3, n_init=3, random_state=0)
    assert spread.fit(features[places]).inertia_ > spread.fit(features[~labelled][surest]).inertia_ * 0.8
    np.testing.assert_array_equal(places, uncertain_samples(features, doubt, labelled, 12, seed=0))
