"""Outliers: samples that are unusually far from their neighbours, and from the middle of all, in the embedding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likewise.cleaning.neighbours import Neighbours

FENCE = 2.25
"""A sample is an outlier from this score on; half of the samples are below 0, nine tenths below 1."""
LEAST_SAMPLES = 50
"""Of fewer, nothing is usual."""
DIRECTIONS = 32


class Outliers(NamedTuple):
    """How unusual the place of each sample in the embedding is."""

    scores: Float[np.ndarray, " n"]
    """0 at the median, 1 at the 90 % quantile."""
    from_neighbours: Float[np.ndarray, " n"]
    """The distance to the tenth neighbour, in units of its median."""
    from_the_middle: Float[np.ndarray, " n"]
    """The distance from the mean of all, in units of its median."""


def outliers(features: Float[Tensor, "n dim"], near: Neighbours) -> Outliers:
    """How unusual the place of each sample in the embedding is.

    The score is the logarithm of two distances' product, each in units of its own spread: that to the tenth nearest
    neighbour, by direction, and that from the mean of all along the first 32 principal directions, each divided by its
    standard deviation (Mahalanobis distance). Both quantiles hardly move while outliers are few, and the logarithm
    makes twice as far as usual as much as half as far.
    """
    tenth, middle = (
        np.log(each.double().clamp_min(1e-9).numpy()) for each in (near.distances[:, -1], _from_the_middle(features))
    )
    scores = _standard(_standard(tenth) + _standard(middle))
    return Outliers(scores, np.exp(tenth - np.median(tenth)), np.exp(middle - np.median(middle)))


def _from_the_middle(features: Float[Tensor, "n dim"]) -> Float[Tensor, " n"]:
    centred = features.double() - features.double().mean(0)
    values, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
    count = max(1, min(DIRECTIONS, len(features) // 10))
    values, directions = values[-count:], directions[:, -count:]
    used = values > 1e-9 * values[-1]
    return (centred @ directions[:, used] / values[used].sqrt()).norm(dim=1)


def _standard(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Scaled to 0 at the median and 1 at the 90 % quantile."""
    median, high = np.quantile(values, [0.5, 0.9])
    return (values - median) / max(high - median, 1e-9)
