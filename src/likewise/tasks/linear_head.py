"""Linear heads on fixed features: one for classes, one for several labels a sample, one for numbers.

Each is solved to its optimum by scikit-learn, with a Gaussian prior on the weights. Under the prior, an output of
standardised features has a given `variance`: it means the same for any number of dimensions and samples.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

VARIANCES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Prior variances to choose from, the strongest regularisation first."""
FEW_LABELS_VARIANCE = 10.0
"""The one that is taken where there are too few labels to choose by."""
MIN_SCALE = 0.1
"""Dimensions whose deviation is below this part of the average are divided by this part of it."""
ITERATIONS = 1000

Features = Float[np.ndarray, "n dim"]
Targets = Shaped[np.ndarray, "n *outputs"]
Weights = tuple[Float[np.ndarray, "outputs dim"], Float[np.ndarray, " outputs"]]
"""Weight and bias of a head on standardised features."""


class LinearHead(NamedTuple):
    """What turns features into scores: logits, or numbers."""

    weight: Float[np.ndarray, "outputs dim"]
    bias: Float[np.ndarray, " outputs"]
    mean: Float[np.ndarray, " dim"]
    scale: Float[np.ndarray, " dim"]

    def scores(self, features: Features) -> Float[np.ndarray, "n outputs"]:
        return apply((self.weight, self.bias), (features - self.mean) / self.scale)


def standardisation(features: Features) -> tuple[Float[np.ndarray, " dim"], Float[np.ndarray, " dim"]]:
    """Mean and deviation of each dimension, the deviation not far below the average one."""
    deviation = features.std(0)
    average = max(float(np.sqrt(np.square(deviation).mean())), 1e-12)
    return features.mean(0), np.maximum(deviation, np.float32(MIN_SCALE * average))


def apply(weights: Weights, features: Features) -> Float[np.ndarray, "n outputs"]:
    return features @ weights[0].T + weights[1]


class HeadTask(ABC):
    """What a head answers: how it is fitted to targets, and how far its scores are from them."""

    name: ClassVar[str]
    stratified: ClassVar[bool] = False
    """Whether folds have about the same share of each class."""

    @abstractmethod
    def fit(self, features: Features, targets: Targets, variance: float, *, balanced: bool = False) -> Weights:
        """The head of this prior variance.

        Args:
            balanced: whether classes count the same, however many samples they have.
        """

    @abstractmethod
    def losses(self, scores: Float[np.ndarray, "n outputs"], targets: Targets) -> Float[np.ndarray, " n"]:
        """How far each sample's scores are from its target."""


class Classification(HeadTask):
    """One class a sample: multinomial logistic regression. Targets are numbers of classes, `(n,)`."""

    name = "classification"
    stratified = True

    def fit(
        self, features: Features, targets: Int[np.ndarray, " n"], variance: float, *, balanced: bool = False
    ) -> Weights:
        return _logistic(features, targets, variance, balanced)

    def losses(self, scores: Float[np.ndarray, "n outputs"], targets: Int[np.ndarray, " n"]) -> Any:
        return log_sum_exp(scores) - scores[np.arange(len(scores)), targets]


class Multilabel(HeadTask):
    """Any number of labels a sample: a logistic regression for each label. Targets are `(n, labels)`, true or false."""

    name = "multilabel"

    def fit(
        self, features: Features, targets: Bool[np.ndarray, "n labels"], variance: float, *, balanced: bool = False
    ) -> Weights:
        heads = [_one_label(features, column, variance, balanced) for column in targets.T]
        return np.stack([weight for weight, _ in heads]), np.array([bias for _, bias in heads], dtype=np.float32)

    def losses(self, scores: Float[np.ndarray, "n outputs"], targets: Bool[np.ndarray, "n labels"]) -> Any:
        return np.logaddexp(0, np.where(targets, -scores, scores)).sum(1)


class Regression(HeadTask):
    """A number a sample: ridge regression. Targets are numbers, `(n,)`."""

    name = "regression"

    def fit(
        self, features: Features, targets: Float[np.ndarray, " n"], variance: float, *, balanced: bool = False
    ) -> Weights:
        middle, deviation = float(targets.mean()), max(float(targets.std()), 1e-12)
        ridge = Ridge(alpha=features.shape[1] / variance).fit(features, (targets - middle) / deviation)
        weight = (ridge.coef_ * deviation).astype(np.float32)[None]
        return weight, np.array([ridge.intercept_ * deviation + middle], dtype=np.float32)

    def losses(self, scores: Float[np.ndarray, "n outputs"], targets: Float[np.ndarray, " n"]) -> Any:
        return np.square(scores[:, 0] - targets)


def softmax(scores: Float[np.ndarray, "n outputs"]) -> Float[np.ndarray, "n outputs"]:
    return np.exp(scores - log_sum_exp(scores)[:, None])


def sigmoid(scores: Float[np.ndarray, "n outputs"]) -> Float[np.ndarray, "n outputs"]:
    return np.exp(-np.logaddexp(0, -scores))


def log_sum_exp(scores: Float[np.ndarray, "n outputs"]) -> Float[np.ndarray, " n"]:
    most = scores.max(1)
    return most + np.log(np.exp(scores - most[:, None]).sum(1))


def _logistic(features: Features, targets: Int[np.ndarray, " n"], variance: float, balanced: bool) -> Weights:
    solver = LogisticRegression(
        C=variance / features.shape[1], class_weight="balanced" if balanced else None, max_iter=ITERATIONS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # after so many iterations it is near enough
        solved = solver.fit(features, targets)
    weight, bias = solved.coef_.astype(np.float32), solved.intercept_.astype(np.float32)
    if len(weight) == 1:  # of two classes, the logit of the second: as two scores of the same probabilities
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _one_label(
    features: Features, targets: Bool[np.ndarray, " n"], variance: float, balanced: bool
) -> tuple[Float[np.ndarray, " dim"], float]:
    """The logit of one label; a constant one where all of the samples have it, or none."""
    if targets.all() or not targets.any():
        odds = (targets.sum() + 0.5) / (len(targets) - targets.sum() + 0.5)
        return np.zeros(features.shape[1], dtype=np.float32), float(np.log(odds))
    weight, bias = _logistic(features, targets.astype(int), variance, balanced)
    return 2 * weight[1], 2 * float(bias[1])
