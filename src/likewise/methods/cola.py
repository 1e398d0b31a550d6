"""COLA: contrast two segments of each recording with segments of other recordings."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_int
from likewise.distributed import gather
from likewise.losses.precision import full_precision
from likewise.losses.tiles import logsumexp_of_keys
from likewise.methods.base import Method


class COLA(Method):
    """Saeed et al. 2021, Contrastive Learning of General-Purpose Audio Representations, arXiv:2010.10915.

    The loss is the cross-entropy of each first segment's similarities with the second segments of the batch. The
    similarity is bilinear, `x W y`, of a linear layer, LayerNorm and tanh on the embedding; there is no temperature. In
    the paper segments are 0.96 s long and are not augmented.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the projections.

    Raises:
        UserError: for a number out of its range.
    """

    family = "contrastive"
    modality = "audio"
    paper = "2010.10915"
    when_to_use = "a first choice for sound: what characterizes a recording as a whole"
    min_batch_size = 2

    def __init__(self, encoder: nn.Module, *, projection_dim: int = 512) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim)
        self.projector = nn.Sequential(nn.Linear(self.dim, projection_dim), nn.LayerNorm(projection_dim), nn.Tanh())
        self.bilinear = nn.Linear(projection_dim, projection_dim, bias=False)

    def objective(self, first: Any, second: Any) -> Tensor:
        z1, z2 = map(gather, self.embed(torch.cat([first, second])).chunk(2))
        self.track(z1, z2)
        return self.compare(z1, z2)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    @full_precision
    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Cross-entropy of the second segments, given each first segment."""
        queries = self.bilinear(first)
        return (logsumexp_of_keys(queries, second) - (queries * second).sum(1)).mean()

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(batch_size)}
