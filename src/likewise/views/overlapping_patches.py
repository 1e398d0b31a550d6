"""Overlapping patches of images, in columns (CPC, arXiv:1807.03748)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SMALLEST_PATCH = 4  # px; enlarged more, tiny images would be learned at another scale than they are used at


def overlapping_patches(view: Float[Tensor, "n c h w"], grid: int) -> Float[Tensor, "n k c p p"]:
    """`grid` x `grid` square patches of every image, each half over the next, column by column: k = grid².

    They cover the largest possible square in the middle. Images whose patches would be below 4 px are enlarged first.
    """
    side = min(view.shape[2:])
    least = SMALLEST_PATCH // 2 * (grid + 1)
    if side < least:
        larger = [round(length * least / side) for length in view.shape[2:]]
        view, side = F.interpolate(view, larger, mode="bilinear", antialias=True), least
    stride = side // (grid + 1)
    top, left = ((length - stride * (grid + 1)) // 2 for length in view.shape[2:])
    windows = view[:, :, top:, left:].unfold(2, 2 * stride, stride).unfold(3, 2 * stride, stride)
    return windows[:, :, :grid, :grid].permute(0, 3, 2, 1, 4, 5).flatten(1, 2)
