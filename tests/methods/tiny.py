"""The smallest encoder that methods can be tested around, in float64 so that formulas can be compared exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likewise.methods.base import Method


class Tiny(nn.Module):
    """One linear layer and a bend; `(n, 1, 4, 4)` -> `(n, dim)`."""

    dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, self.dim)

    def forward(self, view: Tensor) -> Tensor:
        return torch.tanh(self.layer(view.flatten(1)))


def built(cls: type[Method], **options: object) -> Method:
    """The method around a tiny encoder, with the same weights at every call."""
    torch.manual_seed(0)
    return cls(Tiny(), **options).double()


def two_views(samples: int = 5) -> Tensor:
    """`(2, samples, 1, 4, 4)`, the same at every call."""
    return torch.randn(2, samples, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
