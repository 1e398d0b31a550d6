"""A probe of an encoder during its training: nearest neighbours among labelled samples."""

from __future__ import annotations

import torch

from likewise.data.sampling import order
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.features import encode
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.evaluation.knn import NEIGHBORS, nearest_neighbors, vote

PROBED = 2000  # labelled samples that are classified each epoch


class NeighbourProbe:
    """Leave-one-out accuracy, in [0, 1], of a weighted vote of 20 nearest neighbours, on at most 2,000 samples.

    `chance` is the share of the most frequent class.

    Raises:
        UserError: for data without labels, or of fewer than two samples.
    """

    def __init__(self, source: Source) -> None:
        labels = source.labels()
        shuffled = order(len(source), seed=0, epoch=0)
        self.source, self.indices = source, shuffled[labels[shuffled] >= 0][:PROBED]
        if len(self.indices) < 2:
            raise UserError(f"probe needs at least 2 samples with labels, {source.name} has {len(self.indices)}")
        self.labels = labels[self.indices]
        self.chance = float(self.labels.bincount().max()) / len(self.labels)

    def __call__(self, encoder: torch.nn.Module, views: EvaluationViews, device: torch.device) -> float:
        features = encode(encoder, views, self.source, self.indices, compute=ComputeSettings(device, 256))
        k = min(NEIGHBORS[-1], len(self.indices) - 1)
        similarities, positions = nearest_neighbors(features, features, k, exclude_self=True)
        predicted = vote(similarities, self.labels[positions], len(self.source.classes))
        return float((predicted == self.labels).float().mean())
