"""Random parts of images with their annotations, as large as before: what training with masks and boxes looks at."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

SMALLEST_PART = 0.6
"""Of the sides of an image."""
LEAST_SIDE = 1.0
"""Of a box in a part, in pixels."""


def random_parts(count: int, generator: torch.Generator, *, mirror: bool) -> Float[Tensor, "{count} 2 3"]:
    """Maps from coordinates of a part to those of the image, both from -1 to 1, with `mirror` perhaps mirrored."""
    scale = 1 - (1 - SMALLEST_PART) * torch.rand(count, generator=generator)
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * (1 - scale)[:, None]
    turned = torch.rand(count, generator=generator) < 0.5
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = torch.where(turned & mirror, -scale, scale)
    theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    return theta


def parts_of_images(images: UInt8[Tensor, "n c h w"], parts: Float[Tensor, "n 2 3"]) -> UInt8[Tensor, "n c h w"]:
    """The parts, between pixels by bilinear interpolation."""
    return _sampled(images.float(), parts, "bilinear").round_().clamp_(0, 255).to(torch.uint8)


def parts_of_masks(masks: Int[Tensor, "n h w"], parts: Float[Tensor, "n 2 3"]) -> Int[Tensor, "n h w"]:
    """The parts; a pixel has the class of the nearest one."""
    return _sampled(masks[:, None].float(), parts, "nearest")[:, 0].long()


def part_of_boxes(
    boxes: Float[Tensor, "n 4"], part: Float[Tensor, "2 3"], size: int
) -> tuple[Float[Tensor, "n 4"], Bool[Tensor, " n"]]:
    """The boxes of one image in its part, cut at the edges, and which of them are to be seen there.

    Those are the ones whose middle is inside (as of SSD, arXiv:1512.02325) and that are a pixel wide and high.
    """
    corners = boxes.view(-1, 2, 2) / size * 2 - 1
    placed = ((corners - part[:, 2]) / part.diagonal()).sort(dim=1).values  # mirrored, the right one is left
    inside = (placed.mean(1).abs() < 1).all(1)
    pixels = ((placed + 1) / 2 * size).clamp(0, size)
    return pixels.flatten(1), inside & ((pixels[:, 1] - pixels[:, 0]) >= LEAST_SIDE).all(1)


def mirrors(views: Any) -> bool:
    """Whether mirrored images are usual, as far as the views say."""
    return any(op.name == "horizontal-flip" for op in getattr(views, "weak_ops", ()))


def _sampled(values: Float[Tensor, "n c h w"], parts: Float[Tensor, "n 2 3"], mode: str) -> Float[Tensor, "n c h w"]:
    grid = F.affine_grid(parts, [len(values), 1, *values.shape[2:]], align_corners=False)
    return F.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=False)
