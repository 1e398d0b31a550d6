"""Rows of small images laid side by side in one picture."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor


def picture_grid(rows: Iterable[UInt8[Tensor, "_ _ _ _"]], *, tile: int = 96, gap: int = 4) -> Image.Image:
    """Each row's images from left to right, rows from top to bottom, on white, `gap` pixels apart.

    Images `(n, 1 or 3, h, w)` smaller than `tile` pixels are enlarged by a whole factor, each pixel a
    square, so that an 8x8 digit can be seen; larger ones stay as they are.
    """
    tiles = [_enlarged(row, max(1, tile // max(row.shape[-2:]))) for row in rows]
    height = max(row.shape[-2] for row in tiles) + gap
    width = max(row.shape[-1] for row in tiles) + gap
    across = max(len(row) for row in tiles)
    sheet = torch.full((3, height * len(tiles) + gap, width * across + gap), 255, dtype=torch.uint8)
    for down, row in enumerate(tiles):
        for right, image in enumerate(row):
            top, left = down * height + gap, right * width + gap
            sheet[:, top : top + image.shape[-2], left : left + image.shape[-1]] = image
    return Image.fromarray(sheet.permute(1, 2, 0).numpy())


def _enlarged(images: UInt8[Tensor, "n c h w"], factor: int) -> UInt8[Tensor, "n c fh fw"]:
    return images.cpu().repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
