"""Distillation: a small encoder learns the embeddings that a trained one gives the same views."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_non_negative
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.errors import UserError
from likewise.losses import negative_cosine, similarity_matching
from likewise.losses.precision import full_precision
from likewise.methods.base import Method
from likewise.modules.teacher import FrozenTeacher

LEAST_DEVIATION = 0.1
"""Part of the average deviation below which a dimension of the teacher is not enlarged."""


class Distill(Method):
    """Feature and similarity matching with a trained encoder (Tung & Mori 2019, arXiv:1907.09682).

    `feature` is the cosine distance between the teacher's embedding, standardized over the batch, and a linear map of
    the student's. `similarity` asks that samples are as alike for the student as for the teacher. The map is dropped
    after training, and the second term shapes the embeddings that stay. Both terms are of one view of each sample,
    which both encoders see. The tracked embeddings are the mapped ones and the teacher's.

    Args:
        encoder: the student, view -> `(n, encoder.dim)`.
        teacher: the folder of a finished run, whose encoder takes the same views.
        feature_weight: of the term `feature`, 0 or more.
        similarity_weight: of the term `similarity`, 0 or more.

    Raises:
        UserError: for a number out of its range, or no teacher.
    """

    family = "distillation"
    paper = "1907.09682"
    when_to_use = "a trained encoder is too large: a smaller one learns its embeddings; see `likewise distill`"
    min_batch_size = 2
    cross_modal = True
    two_encoders = True
    compares_augmentations = False
    any_size = False  # the teacher has learned from views of one

    def __init__(
        self,
        encoder: nn.Module,
        *,
        teacher: str | None = None,
        feature_weight: float = 1.0,
        similarity_weight: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        check_non_negative(feature_weight=feature_weight, similarity_weight=similarity_weight)
        if feature_weight == similarity_weight == 0:
            raise UserError("feature_weight and similarity_weight must not both be 0: nothing would be learned")
        self.teacher_run = teacher
        self.feature_weight, self.similarity_weight = feature_weight, similarity_weight

    def use_teacher(self, teacher: nn.Module) -> None:
        """Learn from this encoder, view -> `(n, teacher.dim)`, which is not changed."""
        self.teacher = FrozenTeacher(teacher)
        self.map = nn.Linear(self.dim, self.teacher.dim)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return (self.views(batch.samples, generator),)

    def objective(self, view: Any) -> dict[str, Tensor]:
        embeddings = self.encode(view)
        target = standardized(gather(self.teacher(view)))
        student, mapped = gather(embeddings), gather(self.map(embeddings)).to(target.dtype)
        self.track(mapped, target)
        feature = 1 + negative_cosine(mapped, target)
        similarity = similarity_matching(student, target)
        return {
            "loss": self.feature_weight * feature + self.similarity_weight * similarity,
            "feature": feature,
            "similarity": similarity,
        }

    def embed(self, view: Any) -> Tensor:
        return self.map(self.encode(view))

    def embed_pairs(
        self, samples: Any, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        view = self.views(samples, generator)
        return self.embed(view).float(), standardized(self.teacher(view)).float()


@full_precision
def standardized(embeddings: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Every dimension with mean 0 and, but for those that hardly vary, deviation 1 over the batch."""
    centred = embeddings - embeddings.mean(0)
    deviation = centred.square().mean(0).sqrt()
    least = LEAST_DEVIATION * deviation.square().mean().sqrt()
    return centred / torch.maximum(deviation, least).clamp_min(1e-12)
