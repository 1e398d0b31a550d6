"""NNCLR: the positive of a view is the nearest neighbour of the other view in a queue of embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from likewise.checks import check_int
from likewise.distributed import gather
from likewise.losses import info_nce
from likewise.methods.base import Method, TrainingContext
from likewise.modules.heads import mlp
from likewise.modules.queue import Queue, queue_size
from likewise.modules.temperature import Temperature


class NNCLR(Method):
    """Dwibedi et al. 2021, With a Little Help from My Friends, arXiv:2104.14548.

    The loss is InfoNCE between the nearest neighbour of a view's embedding in the queue and the predictions from the
    other views of the batch, averaged over both directions. The authors' code is not public: what the paper leaves open
    (which views enter the queue, and when) could not be checked.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings.
        hidden_dim: width of the projector's two hidden layers; the predictor's is twice as wide.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        queue: length of the queue, a multiple of the batch; None is the paper's 98,304, but at most half of the
            samples.

    Raises:
        UserError: for a number out of its range.
    """

    family = "contrastive"
    paper = "2104.14548"
    when_to_use = "when augmentations vary too little: positives are other samples, which no augmentation can produce"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 256,
        hidden_dim: int = 2048,
        temperature: float | str = 0.1,
        queue: int | None = None,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, hidden_dim=hidden_dim)
        self.projector = nn.Sequential(
            mlp(self.dim, hidden_dim, hidden_dim, projection_dim), nn.BatchNorm1d(projection_dim)
        )
        self.predictor = mlp(projection_dim, 2 * hidden_dim, projection_dim)
        self.temperature = Temperature(temperature)
        self.projection_dim, self.queue_size = projection_dim, queue
        self.queue: Queue | None = None

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        self.queue = Queue(
            queue_size(self.queue_size, samples=context.samples, batch_size=context.batch_size, most=98304, share=0.5),
            self.projection_dim,
            seed=context.seed,
        )

    def objective(self, first: Any, second: Any) -> dict[str, Tensor]:
        assert self.queue is not None, "call prepare() before training"
        z1, z2 = self.embed(first), self.embed(second)
        self.track(gather(z1), gather(z2))
        scalars = {
            "loss": (self.contrast(z1, z2) + self.contrast(z2, z1)) / 2,
            "queue_filled": self.queue.filled,
            "queue_age": self.queue.age(self.training_context.batch_size),
        }
        self.queue.push(z1)
        return scalars

    def contrast(self, z: Tensor, other: Tensor) -> Tensor:
        """InfoNCE of the neighbours of `z` with the predictions from `other` (equation 4)."""
        assert self.queue is not None
        neighbours, predictions = gather(self.queue.nearest(z)), gather(self.predictor(other))
        return info_nce(neighbours, predictions.to(neighbours), temperature=self.temperature(self.progress))

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(batch_size)}
