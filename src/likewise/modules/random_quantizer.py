"""Quantization by a random projection and a random codebook (BEST-RQ, arXiv:2202.01855, section 3.1)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.modules.kmeans import TILE


class RandomQuantizer(nn.Module):
    """The number of the codebook's nearest entry to a random projection of each feature; neither is ever trained.

    Projection and entry are compared after both are scaled to length 1. Both are kept with the weights: a resumed
    training has the same codes.

    Args:
        dim: length of a feature.
        codes: entries of the codebook.
        code_dim: length of an entry.
    """

    projection: Tensor
    codebook: Tensor

    def __init__(self, dim: int, *, codes: int, code_dim: int) -> None:
        super().__init__()
        self.register_buffer("projection", torch.zeros(dim, code_dim))
        self.register_buffer("codebook", torch.zeros(codes, code_dim))

    def draw(self, generator: torch.Generator) -> None:
        """Draws the projection, Xavier's uniform, and the codebook, normal, from a generator on the CPU."""
        projection = torch.empty(self.projection.shape)
        self.projection.copy_(nn.init.xavier_uniform_(projection, generator=generator))
        self.codebook.copy_(F.normalize(torch.randn(self.codebook.shape, generator=generator), dim=1))

    @torch.no_grad()
    def forward(self, features: Float[Tensor, "*places dim"]) -> Int[Tensor, "*places"]:
        """The code of each feature, from 0 to below `codes`."""
        # The nearest of unit vectors has the largest product with the projection, whatever the projection's length.
        projected = (features.to(self.projection) @ self.projection).flatten(0, -2)
        parts = projected.split(max(1, TILE // len(self.codebook)))
        return torch.cat([(part @ self.codebook.T).argmax(1) for part in parts]).view(features.shape[:-1])
