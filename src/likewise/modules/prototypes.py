"""Prototypes: unit vectors that represent clusters."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int


class Prototypes(nn.Module):
    """Unit vectors that represent clusters; the scores are cosines with them (SwAV, arXiv:2006.09882).

    Args:
        dim: length of a prototype.
        count: number of prototypes, at least 2.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        check_prototypes(count)
        self.weight = nn.Parameter(F.normalize(torch.randn(count, dim), dim=1))

    @torch.no_grad()
    def normalize(self) -> None:
        """Scale each prototype to length 1; to be called at the beginning of a step."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n count"]:
        return F.normalize(z, dim=1) @ self.weight.T


class WeightNormPrototypes(Prototypes):
    """Prototypes that are normalized in the forward pass, with gradient (DINO, arXiv:2104.14294).

    Args:
        dim: length of a prototype.
        count: number of prototypes, at least 2.
        scaled: whether each has a length of its own, which is learned, and multiplies its score.
    """

    def __init__(self, dim: int, count: int, *, scaled: bool = False) -> None:
        super().__init__(dim, count)
        self.scale = nn.Parameter(torch.ones(count, 1)) if scaled else None

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n count"]:
        scores = F.normalize(z, dim=1) @ F.normalize(self.weight, dim=1).T
        return scores if self.scale is None else scores * self.scale.T


def usage_entropy(usage: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    """Entropy of the shares of k prototypes, over ln k: 1 for uniform use, 0 for a collapse to one."""
    return torch.special.entr(usage.float()).sum() / math.log(len(usage))


def check_prototypes(count: int) -> None:
    """Raises `UserError` for fewer than 2 prototypes."""
    check_int(2, prototypes=count)
