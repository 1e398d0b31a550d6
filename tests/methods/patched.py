"""A small encoder with places, in float64: what methods of places are tested around."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likewise.methods.base import Method


class Patched(nn.Module):
    """Four places of a view `(n, 1, 4, 4)`, each a bend of its 2 x 2 pixels; their mean is the embedding."""

    dim = features_dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, self.dim)

    def with_features(self, view: Tensor) -> tuple[Tensor, Tensor]:
        patches = view.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).flatten(1, 3)
        places = torch.tanh(self.layer(patches))
        return places.mean(1), places

    def forward(self, view: Tensor) -> Tensor:
        return self.with_features(view)[0]


def around_patched(cls: type[Method], **options: object) -> Method:
    """The method around this encoder, with the same weights at every call."""
    torch.manual_seed(0)
    return cls(Patched(), **options).double()
