"""The small convolutional network of deep reinforcement learning: positions count, so nothing is averaged over them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int

SMALL_UP_TO = 40  # px: the first stride of 4 would leave few positions
LEAST = 4  # px
DIM = 256


class NatureConvolutions(nn.Module):
    """Three convolutions (Mnih et al. 2015, Nature 518), then a linear layer and LayerNorm as in arXiv:2004.04136.

    The convolutions are padded. Views of another size than the network was built for are pooled to its positions.
    """

    num_features = 64

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        check_int(LEAST, size=size)
        first = (4, 2, 1) if size <= SMALL_UP_TO else (8, 4, 2)
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 32, *first),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, self.num_features, 3, 1, 1),
            nn.ReLU(inplace=True),
        )
        with torch.no_grad():
            positions = self.convolutions(torch.zeros(1, channels, size, size)).shape[2]
        self.positions = nn.AdaptiveAvgPool2d(positions)
        self.embedding = nn.Sequential(
            nn.Flatten(), nn.Linear(self.num_features * positions**2, DIM), nn.LayerNorm(DIM)
        )

    def forward(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n dim"]:
        return self.forward_head(self.forward_features(view))

    def forward_features(self, view: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        return self.convolutions(view)

    def forward_head(self, features: Float[Tensor, "n d i j"]) -> Float[Tensor, "n dim"]:
        return self.embedding(self.positions(features))


def nature_cnn(channels: int, size: int) -> tuple[nn.Module, int]:
    """The network, and the length of its embedding."""
    return NatureConvolutions(channels, size), DIM
