"""SimSiam: predict the other view's embedding, with a stopped gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from likewise.checks import check_int
from likewise.losses import negative_cosine
from likewise.methods.base import Method
from likewise.modules.heads import mlp


class SimSiam(Method):
    """Chen & He 2020, Exploring Simple Siamese Representation Learning, arXiv:2011.10566.

    The loss is the negative cosine of prediction and detached target, averaged over both directions.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: width of the projector's three layers, and length of the embeddings.
        prediction_dim: width of the predictor's hidden layer: a bottleneck, a quarter of `projection_dim` in the paper.
        fix_predictor_lr: whether the predictor's learning rate stays at its top (section 4.2).

    Raises:
        UserError: for a number out of its range.
    """

    family = "distillation"
    paper = "2011.10566"
    when_to_use = "no negatives and no second network: needs the least memory and small batches"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 2048,
        prediction_dim: int = 512,
        fix_predictor_lr: bool = False,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, prediction_dim=prediction_dim)
        layers = mlp(self.dim, projection_dim, projection_dim, projection_dim)
        self.projector = nn.Sequential(*layers, nn.BatchNorm1d(projection_dim, affine=False))
        self.predictor: nn.Module = mlp(projection_dim, prediction_dim, projection_dim)
        self.fix_predictor_lr = fix_predictor_lr

    def objective(self, first: Any, second: Any) -> Tensor:
        z1, z2 = self.embed(first), self.embed(second)
        self.track(z1, z2)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        return (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def constant_lr_parameters(self) -> Iterable[nn.Parameter]:
        return self.predictor.parameters() if self.fix_predictor_lr else ()
