"""Where any number of embeddings lie on a plane: some of them by t-SNE, the others near those that are like them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.evaluation.inputs import Progress
from likewise.report.embedding_map import plane_coordinates, unit_rows

LANDMARKS = 5_000
"""Embeddings whose places t-SNE decides: more take minutes."""
NEAREST = 5
"""Landmarks whose mean is the place of another embedding."""
AT_ONCE = 2048
SHARPNESS = 3.0
"""A landmark as far as the farthest of the nearest counts exp(-3) as much as one that is equal."""


def plane(features: Float[np.ndarray, "n dim"], report: Progress) -> Float[np.ndarray, "n 2"]:
    """Coordinates from 0 to 1; memory beside the embeddings is O(n).

    Up to 5,000 embeddings are landmarks, laid out by t-SNE. Each other one lies at the mean of its five nearest
    landmarks, the nearer ones weighted more.
    """
    places = landmarks(len(features))
    marked = plane_coordinates(
        unit_rows(features[places]), lambda made, total: report(made, total, "laying out the map")
    )
    found = np.zeros((len(features), 2), dtype=np.float32)
    if len(places) < len(features):
        marks = F.normalize(torch.from_numpy(features[places]), dim=1)
        for start in range(0, len(features), AT_ONCE):
            part = F.normalize(torch.from_numpy(features[start : start + AT_ONCE]), dim=1)
            found[start : start + len(part)] = _among(part, marks, torch.from_numpy(marked)).numpy()
            report(start + len(part), len(features), "placing samples on the map")
    found[places] = marked
    low, spread = found.min(0), float(np.ptp(found, axis=0).max())
    middle = (1 - np.ptp(found, axis=0) / spread) / 2 if spread else np.float32(0.5)
    return ((found - low) / (spread or 1) + middle).astype(np.float32)


def landmarks(count: int) -> Int[np.ndarray, " m"]:
    """Which of so many embeddings are landmarks: all, or random ones in ascending order."""
    if count <= LANDMARKS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, LANDMARKS, replace=False))


def _among(
    part: Float[Tensor, "b dim"], marks: Float[Tensor, "m dim"], places: Float[Tensor, "m 2"]
) -> Float[Tensor, "b 2"]:
    nearest = (part @ marks.T).topk(NEAREST)
    squared = (2 - 2 * nearest.values).clamp_min(0)
    weights = (-SHARPNESS * squared / squared[:, -1:].clamp_min(1e-12)).softmax(1)
    return (weights[:, :, None] * places[nearest.indices]).sum(1)
