"""LeJEPA: every view predicts the centre of its sample, and the embeddings are an isotropic Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_int, check_interval
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import center_prediction, random_directions, sigreg
from likewise.methods.base import EARLY, Method
from likewise.modules.heads import mlp
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.seeding import generator_for

OF_A_POINT = 0.41  # SIGReg of equal embeddings, for each sample
DIRECTIONS = 2  # of the keys of generators: the directions are not drawn from the numbers of the views


class LeJEPA(Method):
    """Balestriero & LeCun 2025, LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics,
    arXiv:2511.08544.

    The loss is `(1 - λ) prediction + λ sigreg`: see `likewise.losses.center_prediction` and `likewise.losses.sigreg`;
    the latter is the mean over views. There is no teacher, no stop-gradient, no predictor and no negative.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        hidden_dim: width of the projector's two hidden layers.
        projection_dim: length of the embeddings.
        local_crops: small views beside the two global ones.
        trade_off: λ, between 0 and 1; larger spreads the embeddings more and brings views together less.
        directions: random directions of a step that the distribution is compared along.

    Raises:
        UserError: for a number out of its range.
    """

    family = "redundancy reduction"
    paper = "2511.08544"
    when_to_use = "one hyperparameter and any encoder, no teacher: small batches, and views of parts"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 2048,
        projection_dim: int = 128,
        local_crops: int = 6,
        trade_off: float = 0.05,
        directions: int = 1024,
    ) -> None:
        super().__init__(encoder)
        check_int(hidden_dim=hidden_dim, projection_dim=projection_dim, directions=directions)
        check_int(0, local_crops=local_crops)
        check_interval(0, 1, closed="neither", trade_off=trade_off)
        self.projector = mlp(self.dim, hidden_dim, hidden_dim, projection_dim)
        self.local_crops, self.trade_off = local_crops, trade_off
        self.projection_dim, self.directions = projection_dim, directions

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return multi_crop(self.views, batch.samples, generator, local_crops=self.local_crops)

    def objective(self, *crops: Any) -> dict[str, Tensor]:
        z = self.projector(torch.cat(encode_crops(self.encode, crops))).chunk(len(crops))
        views = gather(torch.stack(z, dim=1)).unbind(1)  # of the samples of all processes
        self.track(*views[:2])
        directions = self.random_directions(views[0])
        prediction = center_prediction(views)
        gaussian = torch.stack([sigreg(view, directions) for view in views]).mean()
        return {
            "loss": (1 - self.trade_off) * prediction + self.trade_off * gaussian,
            "prediction": prediction,
            "sigreg": gaussian,
        }

    def random_directions(self, z: Tensor) -> Tensor:
        """Those of this step, the same in all processes."""
        generator = generator_for(self.training_context.seed, self.global_step, 0, DIRECTIONS)
        drawn = random_directions(self.projection_dim, self.directions, generator)
        return drawn.to(z.device, torch.promote_types(z.dtype, torch.float32))

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        collapsed = OF_A_POINT * self.training_context.batch_size
        if self.progress < EARLY or figures.get("sigreg", 0.0) < collapsed / 2:
            return None
        return "the embeddings have nearly collapsed to a point: try a larger --trade-off or another --lr"
