"""Barlow Twins: each dimension agrees between the views and is decorrelated from all others."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from likewise.checks import check_int, check_non_negative
from likewise.distributed import gather
from likewise.losses import barlow_twins
from likewise.methods.base import Method
from likewise.modules.heads import mlp


class BarlowTwins(Method):
    """Zbontar et al. 2021, Self-Supervised Learning via Redundancy Reduction, arXiv:2103.03230.

    The loss is `Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij²`, with C the correlations between the dimensions of the two views.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: width of the projector's three layers, and length of the embeddings; larger is better.
        redundancy: weight λ of the correlations between different dimensions, 0 or more.

    Raises:
        UserError: for a number out of its range.
    """

    family = "redundancy reduction"
    paper = "2103.03230"
    when_to_use = "no negatives, no second network, no predictor; works with batches of 128"
    min_batch_size = 2

    def __init__(self, encoder: nn.Module, *, projection_dim: int = 8192, redundancy: float = 0.005) -> None:
        super().__init__(encoder)
        check_int(2, projection_dim=projection_dim)
        check_non_negative(redundancy=redundancy)
        self.projector = mlp(self.dim, projection_dim, projection_dim, projection_dim)
        self.redundancy = redundancy

    def objective(self, first: Any, second: Any) -> Tensor:
        z1, z2 = gather(self.embed(first)), gather(self.embed(second))
        self.track(z1, z2)
        return barlow_twins(z1, z2, redundancy=self.redundancy)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))
