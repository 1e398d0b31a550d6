"""DeepCluster-v2: cluster the embeddings of all samples before each epoch, then predict the clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int, check_positive, require
from likewise.data.loader import Batch
from likewise.methods.base import Method, TrainingContext
from likewise.modules.heads import projector
from likewise.modules.kmeans import spherical_kmeans
from likewise.modules.memory_bank import MemoryBank, fill_memory_bank
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.modules.prototypes import check_prototypes, usage_entropy
from likewise.seeding import generator_for


class DeepCluster(Method):
    """DeepCluster-v2 of Caron et al. 2020, arXiv:2006.09882, after Deep Clustering (2018), arXiv:1807.05520.

    The prototypes are the centroids of spherical k-means on a memory bank of all samples' embeddings; they are fixed
    during an epoch. There are two banks, of the first and of the second view, which the heads take in turn; one head
    needs the first only. They hold the clean samples' embeddings at first, then the last one of each sample's view. The
    loss is the cross-entropy of the cosines with the prototypes over T, given the sample's cluster.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings that are clustered.
        prototypes: clusters, from 2 to the number of samples.
        heads: clusterings from different initializations; all are predicted.
        local_crops: small views beside the two global ones.
        temperature: T of the cosines, above 0.

    Raises:
        UserError: for a number out of its range.
    """

    family = "clustering"
    paper = "2006.09882"
    when_to_use = "when clusters are wanted; k-means between epochs, so many epochs rather than many samples"
    min_batch_size = 2
    assignments: Tensor
    centroids: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        prototypes: int = 3000,
        heads: int = 3,
        local_crops: int = 6,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim, heads=heads)
        check_int(0, local_crops=local_crops)
        check_prototypes(prototypes)
        check_positive(temperature=temperature)
        self.projector = projector(self.dim, projection_dim)
        self.local_crops, self.temperature = local_crops, temperature
        self.register_buffer("centroids", torch.zeros(heads, prototypes, projection_dim))

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        heads, prototypes, dim = self.centroids.shape
        require(prototypes <= context.samples, "prototypes", f"at most the {context.samples} samples", prototypes)
        self.bank = MemoryBank(context.samples, dim, seed=context.seed)
        self.second_bank: MemoryBank | None = MemoryBank(context.samples, dim, seed=context.seed) if heads > 1 else None
        self.register_buffer("assignments", torch.zeros(heads, context.samples, dtype=torch.long))

    def begin_epoch(self, epoch: int) -> None:
        if epoch == 0:
            fill_memory_bank(
                self.bank,
                self.embed_samples,
                samples=self.training_context.samples,
                batch_size=self.training_context.batch_size,
            )
            if self.second_bank is not None:
                self.second_bank.vectors.copy_(self.bank.vectors)
        for head in range(len(self.centroids)):
            generator = generator_for(self.training_context.seed, epoch, head)
            bank = self.bank if self.second_bank is None or head % 2 == 0 else self.second_bank
            self.centroids[head], self.assignments[head] = spherical_kmeans(
                bank.vectors, self.centroids.shape[1], generator=generator
            )

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return *multi_crop(self.views, batch.samples, generator, local_crops=self.local_crops), batch.indices

    def objective(self, *crops_and_indices: Any) -> dict[str, Tensor]:
        *crops, indices = crops_and_indices
        z = self.projector(torch.cat(encode_crops(self.encode, crops)))
        first, second, *_ = z.chunk(len(crops))
        self.track(first, second)
        targets = self.assignments[:, indices].repeat(1, len(crops))
        scores = F.normalize(z, dim=1) @ self.centroids.mT
        loss = F.cross_entropy(scores.flatten(0, 1) / self.temperature, targets.flatten())
        usage = torch.stack([torch.bincount(each, minlength=self.centroids.shape[1]) for each in self.assignments])
        if self.second_bank is not None:
            self.second_bank.update(indices, second.detach(), momentum=0.0)
        return {
            "loss": loss,
            "code_entropy": usage_entropy(usage.float().mean(0) / self.training_context.samples),
            "bank_freshness": self.bank.update(indices, first.detach(), momentum=0.0),
        }

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(self.centroids.shape[1])}
