"""Prototypes: directions that stand for clusters."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int


class Prototypes(nn.Module):
    """Directions that stand for clusters; scores `(n, count)` are cosines with them (SwAV, arXiv:2006.09882)."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        check_prototypes(count)
        self.weight = nn.Parameter(F.normalize(torch.randn(count, dim), dim=1))

    @torch.no_grad()
    def normalise(self) -> None:
        """Bring every prototype back to length 1; at the beginning of a step."""
        self.weight.copy_(F.normalize(self.weight, dim=1))

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n count"]:
        return F.normalize(z, dim=1) @ self.weight.T


class WeightNormPrototypes(Prototypes):
    """Prototypes that are normalised where they are used, in the gradient too (DINO's last layer, arXiv:2104.14294)."""

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n count"]:
        return F.normalize(z, dim=1) @ F.normalize(self.weight, dim=1).T


def usage_entropy(usage: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    """How evenly k prototypes are used, from the share of each: 1 all alike, 0 one for everything (a collapse)."""
    return torch.special.entr(usage.float()).sum() / math.log(len(usage))


def check_prototypes(count: int) -> None:
    """Raises `UserError` for fewer than 2 prototypes."""
    check_int(2, prototypes=count)
