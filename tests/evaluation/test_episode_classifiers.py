"""Classifiers of episodes against other implementations, one episode at a time, and on cases made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from torch.nn.functional import normalize

from likewise.evaluation.episode_classifiers import (
    CLASSIFIERS,
    PROPAGATED,
    label_propagation,
    logistic_regression,
    logistic_weights,
    nearest_centroid,
)
from likewise.evaluation.knn import TEMPERATURE
from likewise.evaluation.linear import FEW_LABELS_VARIANCE


def episodes(
    count: int, way: int, shot: int, query: int, dim: int, spread: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(way * shot + dim)
    centres = torch.randn(count, way, 1, dim, generator=random, dtype=torch.float64)
    rows = centres + spread * torch.randn(count, way, shot + query, dim, generator=random, dtype=torch.float64)
    rows = normalize(rows, dim=3)
    return rows[:, :, :shot], rows[:, :, shot:].flatten(1, 2)


SHAPES = [(3, 5, 1, 4, 8), (3, 5, 5, 4, 64), (2, 2, 3, 5, 3), (2, 7, 2, 3, 200)]


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # the variance of one sample, which is not used
@pytest.mark.parametrize("shape", SHAPES)
def test_nearest_centroid_is_that_of_scikit_learn(shape: tuple[int, int, int, int, int]) -> None:
    support, query = episodes(*shape)
    classes = np.repeat(np.arange(shape[1]), shape[2])
    for known, asked, found in zip(support, query, nearest_centroid(support, query), strict=True):
        other = NearestCentroid().fit(known.flatten(0, 1).numpy(), classes).predict(asked.numpy())
        assert found.tolist() == other.tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_logistic_regression_is_that_of_scikit_learn(shape: tuple[int, int, int, int, int]) -> None:
    support, query = episodes(*shape)
    classes = np.repeat(np.arange(shape[1]), shape[2])
    weights, found = logistic_weights(support), logistic_regression(support, query)
    for known, asked, its_weights, places in zip(support, query, weights, found, strict=True):
        other = LogisticRegression(C=FEW_LABELS_VARIANCE, fit_intercept=False, tol=1e-9, max_iter=10_000)
        if shape[1] == 2:  # with two classes, scikit-learn has one weight for the difference
            targets = torch.eye(2, dtype=torch.float64)[torch.from_numpy(classes)]
            rows = known.flatten(0, 1)
            gradient = rows.T @ ((rows @ its_weights).softmax(1) - targets) + its_weights / FEW_LABELS_VARIANCE
            assert float(gradient.abs().max()) < 1e-3
            continue
        other.fit(known.flatten(0, 1).numpy(), classes)
        np.testing.assert_allclose(its_weights.T.numpy(), other.coef_, atol=2e-3)
        assert places.tolist() == other.predict(asked.numpy()).tolist()


def test_label_propagation_is_its_formula() -> None:
    support, query = episodes(3, 4, 2, 5, 16)
    for known, asked, found in zip(support, query, label_propagation(support, query), strict=True):
        rows = torch.cat([known.flatten(0, 1), asked])
        n = len(rows)
        weights = torch.tensor(
            [
                [0.0 if i == j else float(((rows[i] @ rows[j] - 1) / TEMPERATURE).exp()) for j in range(n)]
                for i in range(n)
            ],
            dtype=torch.float64,
        )
        degree = weights.sum(1)
        graph = torch.diag(degree**-0.5) @ weights @ torch.diag(degree**-0.5)
        known_labels = torch.zeros(n, 4, dtype=torch.float64)
        known_labels[torch.arange(8), torch.arange(4).repeat_interleave(2)] = 1
        scores, power = torch.zeros_like(known_labels), known_labels
        for _ in range(200):  # the sum of α^k S^k Y
            scores, power = scores + power, PROPAGATED * graph @ power
        assert found.tolist() == scores[8:].argmax(1).tolist()


def test_labels_spread_along_a_row_of_samples_and_centroids_do_not_follow() -> None:
    """Two arcs of a circle: the end of the first is nearer to the sample that is known of the second."""

    def at(degrees: list[float]) -> torch.Tensor:
        angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
        return torch.stack([angles.cos(), angles.sin()], dim=1)

    support = at([0, 150]).view(1, 2, 1, 2)
    query = at([12, 24, 36, 48, 60, 72, 84, 140, 130])[None]
    assert nearest_centroid(support, query)[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert label_propagation(support, query)[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_is_clear_is_found_and_many_episodes_are_as_one(name: str) -> None:
    support, query = episodes(20, 5, 3, 6, 32, spread=0.1)
    together = CLASSIFIERS[name](support, query)
    assert torch.equal(together, torch.arange(5).repeat_interleave(6).expand(20, -1))
    hard, asked = (each.float() for each in episodes(20, 5, 1, 6, 4))
    alone = torch.cat([CLASSIFIERS[name](hard[i : i + 1], asked[i : i + 1]) for i in range(20)])
    assert float((CLASSIFIERS[name](hard, asked) == alone).float().mean()) > 0.99
