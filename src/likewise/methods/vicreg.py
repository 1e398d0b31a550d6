"""VICReg: the views agree, each dimension varies, and no two dimensions covary."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from likewise.checks import check_int, check_non_negative
from likewise.distributed import gather
from likewise.losses import vicreg
from likewise.methods.base import Method
from likewise.modules.heads import mlp


class VICReg(Method):
    """Bardes et al. 2021, Variance-Invariance-Covariance Regularization, arXiv:2105.04906.

    The loss is `λ s(Z, Z') + μ [v(Z) + v(Z')] + ν [c(Z) + c(Z')]`: see `likewise.losses.vicreg`.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: width of the projector's three layers, and length of the embeddings; larger is better.
        invariance: weight λ of the distance between the views, 0 or more.
        variance: weight μ of the variance of each dimension, 0 or more.
        covariance: weight ν of the covariances, 0 or more.

    Raises:
        UserError: for a number out of its range.
    """

    family = "redundancy reduction"
    paper = "2105.04906"
    when_to_use = "like Barlow Twins with separate terms: for views of different kinds, and to see what collapses"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 8192,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        check_int(2, projection_dim=projection_dim)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        check_non_negative(**self.weights)
        self.projector = mlp(self.dim, projection_dim, projection_dim, projection_dim)

    def objective(self, first: Any, second: Any) -> Tensor:
        z1, z2 = gather(self.embed(first)), gather(self.embed(second))
        self.track(z1, z2)
        return vicreg(z1, z2, **self.weights)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))
