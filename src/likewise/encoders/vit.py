"""Vision Transformers patch by patch: encode visible or masked patches, cut a view into patches and join them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from likewise.encoders.base import encoder_name
from likewise.errors import UserError


def vision_transformer(encoder: nn.Module) -> Any:
    """The timm VisionTransformer that an encoder is, or contains.

    Raises:
        UserError: for an encoder of another kind.
    """
    from timm.models.vision_transformer import VisionTransformer

    body = getattr(encoder, "body", encoder)
    if not isinstance(body, VisionTransformer):
        name = encoder_name(encoder)
        raise UserError(f"encoder must be a Vision Transformer of timm, got {name}: try --encoder vit_tiny")
    return body


def encode_visible(vit: Any, view: Float[Tensor, "n c h w"], visible: Int[Tensor, "n v"]) -> Float[Tensor, "n t d"]:
    """The tokens of visible patches, encoded without the others, after those of the prefix (the class token).

    Args:
        vit: a `VisionTransformer` of timm.
        view: to be cut into patches.
        visible: ids of the visible patches of each sample.
    """
    prefix, patches = vit._pos_embed(vit.patch_embed(view)).tensor_split([vit.num_prefix_tokens], dim=1)
    tokens = torch.cat([prefix, take(patches, visible)], dim=1)
    return vit.norm(vit.blocks(vit.norm_pre(tokens)))


def encode_masked(
    vit: Any, view: Float[Tensor, "n c h w"], masked: Bool[Tensor, "n p"], mask_token: Float[Tensor, " d"]
) -> Float[Tensor, "n t d"]:
    """The tokens of the prefix and of all patches, with one learned vector in place of each masked patch (iBOT).

    Args:
        vit: a `VisionTransformer` of timm.
        view: to be cut into patches.
        masked: which patches of each sample are hidden.
        mask_token: what stands there; its position is added.
    """
    patches = vit.patch_embed(view)
    hidden = masked.reshape(*patches.shape[:-1], 1)
    tokens = vit._pos_embed(torch.where(hidden, mask_token.to(patches.dtype), patches))
    return vit.norm(vit.blocks(vit.norm_pre(tokens)))


def set_drop_path(vit: Any, rate: float) -> None:
    """Skip blocks at random in training (stochastic depth, arXiv:1603.09382), the first never, the last most often.

    Args:
        vit: a `VisionTransformer` of timm, whose weights stay as they are.
        rate: at which the last block is skipped, in [0, 1).
    """
    from timm.layers import DropPath

    rates = torch.linspace(0, rate, len(vit.blocks), device="cpu").tolist()
    for block, own in zip(vit.blocks, rates, strict=True):
        block.drop_path1, block.drop_path2 = (DropPath(own) if own > 0 else nn.Identity() for _ in range(2))


def take(rows: Float[Tensor, "n p d"], ids: Int[Tensor, "n v"]) -> Float[Tensor, "n v d"]:
    """The rows of each sample with these ids."""
    return rows.gather(1, ids[..., None].expand(-1, -1, rows.shape[-1]))


def to_patches(view: Float[Tensor, "n c h w"], height: int, width: int) -> Float[Tensor, "n p d"]:
    """The view cut into patches of this size in pixels, row by row; `d` counts rows, columns, channels."""
    cut = view.unfold(2, height, height).unfold(3, width, width)  # n c i j height width
    return cut.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def from_patches(
    patches: Float[Tensor, "n p d"], grid: tuple[int, int], height: int, width: int
) -> Float[Tensor, "n c h w"]:
    """The inverse of `to_patches`, for a `grid` of (rows, columns)."""
    cut = patches.unflatten(2, (height, width, -1)).unflatten(1, grid)  # n i j height width c
    return cut.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def grid_positions(rows: int, columns: int, dim: int) -> Float[Tensor, "p dim"]:
    """Sine and cosine position embeddings of a grid, row by row; `dim` is a multiple of 4, half for each axis."""
    rates = 10000.0 ** -(torch.arange(dim // 4) / (dim // 4))
    down, right = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1) * rates for place in (right, down)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
