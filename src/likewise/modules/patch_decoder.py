"""A decoder from visible patch tokens to the pixels of all patches (MAE, arXiv:2111.06377)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.encoders.vit import grid_positions, take


class PatchDecoder(nn.Module):
    """A light Transformer over all patches; each masked patch is one learned mask token at its position.

    Section 3 of arXiv:2111.06377.

    Args:
        dim: width of the encoder's tokens.
        grid: rows and columns of patches.
        out: numbers of a patch: its pixels times the channels.
        width: of the decoder, a multiple of 32; its heads are 32 wide.
        depth: blocks of the decoder.
        prefix: tokens before those of the patches, such as the class token.
    """

    positions: Tensor

    def __init__(self, dim: int, *, grid: tuple[int, int], out: int, width: int, depth: int, prefix: int) -> None:
        from timm.models.vision_transformer import Block

        super().__init__()
        self.prefix = prefix
        self.narrow = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.register_buffer("positions", grid_positions(*grid, width), persistent=False)
        self.blocks = nn.Sequential(*(Block(width, width // 32, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.pixels = nn.Linear(width, out)

    def forward(self, tokens: Float[Tensor, "n t dim"], shuffle: Int[Tensor, "n p"]) -> Float[Tensor, "n p out"]:
        """The pixels of all patches, in the order of the grid.

        Args:
            tokens: of the prefix, then of the visible patches.
            shuffle: ids of all patches, first the visible ones in the order of `tokens`.
        """
        prefix, visible = self.narrow(tokens).tensor_split([self.prefix], dim=1)
        masked = self.mask_token.expand(len(shuffle), shuffle.shape[1] - visible.shape[1], -1)
        patches = take(torch.cat([visible, masked], dim=1), shuffle.argsort(dim=1)) + self.positions
        decoded = self.blocks(torch.cat([prefix, patches], dim=1))
        return self.pixels(self.norm(decoded[:, self.prefix :]))
