"""BYOL: predict the embedding that a momentum encoder gives the other view."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from likewise.checks import check_int, check_interval
from likewise.losses import negative_cosine
from likewise.methods.base import Method
from likewise.modules.ema import EMA, cosine_momentum
from likewise.modules.heads import mlp


class BYOL(Method):
    """Grill et al. 2020, Bootstrap Your Own Latent, arXiv:2006.07733.

    The loss is the squared distance of prediction and target on the unit sphere, summed over both directions (equation
    2).

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings that are predicted.
        hidden_dim: width of the hidden layers of projector and predictor.
        target_momentum: initial momentum of the target network, in [0, 1]; it rises to 1 by half a cosine.

    Raises:
        UserError: for a number out of its range.
    """

    family = "distillation"
    paper = "2006.07733"
    when_to_use = "no negatives: strong with small batches too, at the cost of a second network in memory"
    min_batch_size = 2
    deployed_role = "online"

    def __init__(
        self, encoder: nn.Module, *, projection_dim: int = 256, hidden_dim: int = 4096, target_momentum: float = 0.996
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, hidden_dim=hidden_dim)
        check_interval(0, 1, target_momentum=target_momentum)
        self.projector = mlp(self.dim, hidden_dim, projection_dim)
        self.predictor: nn.Module = mlp(projection_dim, hidden_dim, projection_dim)
        self.target = EMA(self.encoder, self.projector)
        self.target_momentum = target_momentum

    def objective(self, first: Any, second: Any) -> Tensor:
        momentum = cosine_momentum(self.target_momentum, self.progress)
        self.target.update(self.encoder, self.projector, momentum=momentum)
        z1, z2 = self.embed(first), self.embed(second)
        self.track(z1, z2)
        return self.distance(z1, self.target(second)) + self.distance(z2, self.target(first))

    def distance(self, z: Tensor, target: Tensor) -> Tensor:
        """Mean squared distance of prediction and target on the unit sphere, from 0 to 4 (equation 2)."""
        return 2 + 2 * negative_cosine(self.predictor(z), target)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))
