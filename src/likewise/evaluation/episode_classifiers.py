"""Classifiers of few-shot episodes, many episodes at once.

Each takes the features of the support `(episodes, way, shot, dim)` and of the query `(episodes, n, dim)`, rows of
length 1, and gives the class of each query, a place among the `way` classes of its episode.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.evaluation.knn import TEMPERATURE
from likewise.evaluation.linear import FEW_LABELS_VARIANCE

Support = Float[Tensor, "e way shot dim"]
Query = Float[Tensor, "e n dim"]
Places = Int[Tensor, "e n"]

ITERATIONS = 2000
TOLERANCE = 1e-4
"""Of the gradient by support sample, whose probabilities are that exact."""
PROPAGATED = 0.5
"""The share of a sample's scores that comes from its neighbours."""


def nearest_centroid(support: Support, query: Query) -> Places:
    """The class whose mean support feature is nearest (arXiv:1703.05175, arXiv:1911.04623)."""
    centroids = support.mean(2)
    return (query @ centroids.mT - centroids.square().sum(2)[:, None] / 2).argmax(2)


def logistic_regression(support: Support, query: Query) -> Places:
    """Multinomial logistic regression without a bias: summed cross-entropy + ½‖W‖²/variance at its minimum.

    The weights of the minimum are sums of support features, so the problem is solved in the shares of these, by
    gradient descent with the momentum that is the fastest for its condition (Nesterov).
    """
    return (query @ logistic_weights(support)).argmax(2)


def logistic_weights(support: Support) -> Float[Tensor, "e dim way"]:
    """The weights of `logistic_regression`."""
    rows, targets = support.flatten(1, 2), _one_hot(support)
    kernel = rows @ rows.mT
    curvature = 1 / FEW_LABELS_VARIANCE
    rate = 1 / (kernel.abs().sum(2).amax(1)[:, None, None] / 2 + curvature)  # a softmax is curved by at most 1/2
    condition = (rate * curvature).sqrt()
    momentum = (1 - condition) / (1 + condition)
    shares = ahead = torch.zeros_like(targets)
    for _ in range(ITERATIONS):
        gradient = (kernel @ ahead).softmax(2) - targets + curvature * ahead
        last, shares = shares, ahead - rate * gradient
        ahead = shares + momentum * (shares - last)
        if float(gradient.abs().amax()) < TOLERANCE:
            break
    return rows.mT @ shares


def label_propagation(support: Support, query: Query) -> Places:
    """Labels spread along the similarities of all samples of an episode (Zhou et al. 2004): transductive.

    Scores F = (I - α S)⁻¹ Y, with S the normalised similarities exp(cosine / 0.07) without those of a sample to itself.
    """
    rows, targets = torch.cat([support.flatten(1, 2), query], dim=1), _one_hot(support)
    weights = ((rows @ rows.mT - 1) / TEMPERATURE).exp()
    weights.diagonal(dim1=1, dim2=2).zero_()
    scale = weights.sum(2).rsqrt()
    graph = scale[:, :, None] * weights * scale[:, None]
    known = torch.cat([targets, targets.new_zeros(*query.shape[:2], targets.shape[2])], dim=1)
    scores = torch.linalg.solve(torch.eye(rows.shape[1]) - PROPAGATED * graph, known)
    return scores[:, targets.shape[1] :].argmax(2)


def _one_hot(support: Support) -> Float[Tensor, "e rows way"]:
    """1 at the class of each support sample."""
    episodes, way, shot, _ = support.shape
    return torch.eye(way, dtype=support.dtype).repeat_interleave(shot, dim=0).expand(episodes, -1, -1)


CLASSIFIERS: dict[str, Callable[[Support, Query], Places]] = {
    "nearest centroid": nearest_centroid,
    "logistic regression": logistic_regression,
    "label propagation": label_propagation,
}
"""By the name that tables show, in their order."""


def settings() -> dict[str, float]:
    """How they are set: an entry of the result."""
    return {"prior_variance": FEW_LABELS_VARIANCE, "temperature": TEMPERATURE, "propagated": PROPAGATED}
