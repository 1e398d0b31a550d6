"""NNCLR: the positive of a view is not the other view, but the embedding most like it among those of other samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from likewise.encoders.heads import mlp
from likewise.losses import gather, info_nce
from likewise.methods.base import Course, Method
from likewise.methods.parts import Queue, Temperature, check_whole, queue_size


class NNCLR(Method):
    """Dwibedi et al. 2021, With a Little Help from My Friends, arXiv:2104.14548.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings that are compared.
        hidden_dim: width of the two hidden layers of the projector; that of the predictor is twice as wide.
        temperature: divides the cosine similarities: see `likewise.methods.parts.Temperature`.
        queue: embeddings to find neighbours in, a multiple of the batch; None is the paper's 98,304, but half the
            samples at most.

    Raises:
        UserError: for a number out of its range.
    """

    family = "contrastive"
    paper = "2104.14548"
    choose = "when augmentations alone vary too little: neighbours are positives that no augmentation makes"
    smallest_batch = 2

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
        check_whole(projection_dim=projection_dim, hidden_dim=hidden_dim)
        self.projector = nn.Sequential(
            mlp(self.dim, hidden_dim, hidden_dim, projection_dim), nn.BatchNorm1d(projection_dim)
        )
        self.predictor = mlp(projection_dim, 2 * hidden_dim, projection_dim)
        self.temperature = Temperature(temperature)
        self.projection_dim, self.queue_size = projection_dim, queue
        self.queue: Queue | None = None

    def prepare(self, course: Course, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(course, optimizers)
        self.queue = Queue(
            queue_size(self.queue_size, course, most=98304, share=0.5), self.projection_dim, seed=course.seed
        )

    def objective(self, first: Any, second: Any) -> dict[str, Tensor]:
        assert self.queue is not None, "call prepare() before training"
        z1, z2 = self.embed(first), self.embed(second)
        self.observe(gather(z1), gather(z2))
        scalars = {
            "loss": (self.contrast(z1, z2) + self.contrast(z2, z1)) / 2,
            "queue_filled": self.queue.filled,
            "queue_age": self.queue.age(self.course.batch),
        }
        self.queue.push(z1)
        return scalars

    def contrast(self, z: Tensor, other: Tensor) -> Tensor:
        """Name, for the neighbour of `z`, the prediction from its other view among those of the batch (equation 4)."""
        assert self.queue is not None
        neighbours, predictions = gather(self.queue.nearest(z)), gather(self.predictor(other))
        return info_nce(neighbours, predictions.to(neighbours), temperature=self.temperature(self.progress))

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch: int) -> dict[str, float]:
        return {"loss": math.log(batch)}
