"""Decoders rebuild a view from what an encoder kept of it; like all heads they are dropped after training."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.encoders.vit import grid_positions, take

GROUPS = 8
FIRST_WIDTH, LEAST_WIDTH = 128, 16  # channels at the smallest and, at the least, at the largest resolution


class ImageDecoder(nn.Module):
    """Embeddings `(n, dim)` -> images `(n, channels, size, size)`: transposed convolutions (DCGAN, arXiv:1511.06434).

    From 4 to 7 positions a side each layer doubles the image and halves its channels; what stands over a size that is
    no such multiple is cut off. A kernel of twice the stride reaches all pixels alike: no checkerboard. Norms are of
    groups of channels, not of the batch: what becomes of an image depends on no other.

    Args:
        dim: length of the embeddings.
        channels, size: of the images, at least 4 px.
    """

    def __init__(self, dim: int, *, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        doublings = (size // 4).bit_length() - 1
        first = -(-size // 2**doublings)
        widths = [max(LEAST_WIDTH, FIRST_WIDTH >> step) for step in range(doublings + 1)]
        layers: list[nn.Module] = [
            nn.Linear(dim, widths[0] * first**2, bias=False),
            nn.Unflatten(1, (widths[0], first, first)),
            nn.GroupNorm(GROUPS, widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(wide, narrow, kernel_size=4, stride=2, padding=1, bias=False),
                nn.GroupNorm(GROUPS, narrow),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], channels, kernel_size=3, padding=1))

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n c s s"]:
        return self.layers(z)[..., : self.size, : self.size]


class PatchDecoder(nn.Module):
    """Tokens of the visible patches -> pixels of all patches: a light transformer (MAE, arXiv:2111.06377, section 3).

    Every hidden patch is one learned token, told apart by its position.

    Args:
        dim: width of the encoder's tokens.
        grid: patches along height and width.
        out: pixels of a patch, over all channels.
        width, depth: of the decoder; its heads are 32 wide.
        prefix: tokens before those of the patches, such as the class token.
    """

    positions: Tensor

    def __init__(self, dim: int, *, grid: tuple[int, int], out: int, width: int, depth: int, prefix: int) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.prefix = prefix
        self.narrow = nn.Linear(dim, width)
        self.hidden = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.register_buffer("positions", grid_positions(*grid, width), persistent=False)
        self.blocks = nn.Sequential(*(Block(width, width // 32, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, out)

    def forward(self, tokens: Float[Tensor, "n t dim"], shuffle: Int[Tensor, "n p"]) -> Float[Tensor, "n p out"]:
        """Pixels of all patches in their places.

        Args:
            tokens: of the prefix, then of the visible patches.
            shuffle: ids of all patches, the visible ones first and in the order of `tokens`.
        """
        prefix, visible = self.narrow(tokens).tensor_split([self.prefix], dim=1)
        hidden = self.hidden.expand(len(shuffle), shuffle.shape[1] - visible.shape[1], -1)
        patches = take(torch.cat([visible, hidden], dim=1), shuffle.argsort(dim=1)) + self.positions
        decoded = self.blocks(torch.cat([prefix, patches], dim=1))
        return self.pixels(self.norm(decoded[:, self.prefix :]))
