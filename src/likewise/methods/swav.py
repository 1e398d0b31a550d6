"""SwAV: from each view of a sample, predict the prototype assignment of another view."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, check_non_negative, check_positive, require
from likewise.data.loader import Batch
from likewise.distributed import gather, local_rows
from likewise.losses import sinkhorn, swapped_prediction
from likewise.methods.base import Method, TrainingContext
from likewise.modules.heads import projector
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.modules.prototypes import Prototypes, usage_entropy
from likewise.modules.queue import Queue


class SwAV(Method):
    """Caron et al. 2020, Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, arXiv:2006.09882.

    The codes, soft assignments to prototypes, are computed by Sinkhorn-Knopp for the two global views and predicted
    from all other views: see `likewise.losses.swapped_prediction`.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings that are assigned.
        prototypes: number of prototypes, at least 2.
        local_crops: small views beside the two global ones.
        temperature: T of the predictions' scores, above 0.
        epsilon: of Sinkhorn-Knopp, above 0; smaller is nearer to a hard assignment.
        queue: past embeddings that codes are balanced over besides the batch, a multiple of it; 0 for large batches.
            The paper has 3840 for batches of 256.
        queue_from: epochs after which the queue is used; never before it is full.
        freeze: epochs in which the prototypes are frozen.

    Raises:
        UserError: for a number out of its range.
    """

    family = "clustering"
    paper = "2006.09882"
    when_to_use = "clusters instead of negatives: small batches, and cheap local views"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        prototypes: int = 3000,
        local_crops: int = 6,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        queue: int = 0,
        queue_from: float = 15.0,
        freeze: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim)
        check_int(0, local_crops=local_crops, queue=queue)
        check_positive(temperature=temperature, epsilon=epsilon)
        check_non_negative(queue_from=queue_from, freeze=freeze)
        self.projector = projector(self.dim, projection_dim)
        self.prototypes = Prototypes(projection_dim, prototypes)
        self.queues = nn.ModuleList(Queue(queue, projection_dim, seed=view) for view in range(2) if queue)
        self.local_crops, self.temperature, self.epsilon = local_crops, temperature, epsilon
        self.queue, self.queue_from, self.freeze_epochs = queue, queue_from, freeze

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        divides = self.queue % context.batch_size == 0
        require(divides, "queue", f"a multiple of the batch, {context.batch_size}", self.queue)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return multi_crop(self.views, batch.samples, generator, local_crops=self.local_crops)

    def objective(self, *crops: Any) -> dict[str, Tensor]:
        self.prototypes.normalize()
        z = self.projector(torch.cat(encode_crops(self.encode, crops)))
        scores = self.prototypes(z).chunk(len(crops))
        global_views = z.detach().chunk(len(crops))[:2]
        self.track(*global_views)
        codes = [self.codes(view, each) for view, each in enumerate(global_views)]
        return {
            "loss": swapped_prediction(scores, codes, temperature=self.temperature),
            "code_entropy": usage_entropy(torch.cat(codes).mean(0)),
        }

    @torch.no_grad()
    def codes(self, view: int, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The codes of one global view, balanced over the samples of all processes and the queue."""
        rows = gathered = gather(z)
        if self.queues:
            queue: Any = self.queues[view]
            if queue.filled == 1 and self.global_step >= self.queue_from * self.training_context.steps_per_epoch:
                rows = torch.cat([gathered, queue.keys])
            queue.push(z)
        codes = sinkhorn(self.prototypes(rows), epsilon=self.epsilon)
        return local_rows(codes[: len(gathered)])

    def frozen_parameters(self, step: int) -> Iterable[nn.Parameter]:
        return [self.prototypes.weight] if step < self.freeze_epochs * self.training_context.steps_per_epoch else []

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(len(self.prototypes.weight))}
