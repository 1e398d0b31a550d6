"""SimCLR: two augmentations of a sample attract each other, the rest of the batch repels."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from likewise.encoders.heads import projector
from likewise.errors import UserError
from likewise.losses import gather, nt_xent
from likewise.methods.base import Method


class SimCLR(Method):
    """Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations, arXiv:2002.05709.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings that are compared.
        temperature: divides the cosine similarities; above 0.

    Raises:
        UserError: for a projection_dim or temperature that is not positive.
    """

    family = "contrastive"
    paper = "2002.05709"
    choose = "the place to start: simple, strong, wants batches of 256 and more"
    smallest_batch = 2

    def __init__(self, encoder: nn.Module, *, projection_dim: int = 128, temperature: float = 0.5) -> None:
        super().__init__(encoder)
        if not temperature > 0:
            raise UserError(f"temperature must be above 0, got {temperature}: 0.1 to 0.5 is usual")
        if projection_dim < 1:
            raise UserError(f"projection_dim must be at least 1, got {projection_dim}: 128 is usual")
        self.projector = projector(self.dim, projection_dim)
        self.temperature = temperature

    def objective(self, first: Any, second: Any) -> Tensor:
        z1, z2 = map(gather, self.embed(torch.cat([first, second])).chunk(2))
        self.observe(z1, z2)
        return nt_xent(z1, z2, temperature=self.temperature)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encoder(view))

    def chance(self, batch: int) -> dict[str, float]:
        candidates = 2 * batch - 1
        guess = math.log(candidates)
        return {"loss": guess, "cross_entropy": guess, "top1": 1 / candidates, "top5": min(1.0, 5 / candidates)}
