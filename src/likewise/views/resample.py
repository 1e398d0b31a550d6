"""One resampling for any chain of spatial operations: a homography per sample, from output to input.

Coordinates are normalised: -1 and 1 are the outer edges of an image, x to the right, y down. A crop, a
flip, a rotation are each a 3x3 matrix that takes a point of the output to the point of the input that it
shows; a chain of them is the product of their matrices in the order in which they are applied.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from likewise.views.operation import pieces

Pixels = Float[Tensor, "n c h w"] | UInt8[Tensor, "n c h w"]


def unit(images: Pixels) -> Float[Tensor, "n c h w"]:
    """Bytes become float32 in [0, 1]; floats stay as they are."""
    return images.float().mul_(1 / 255) if images.dtype == torch.uint8 else images


def resize(images: Pixels, size: int) -> Float[Tensor, "n c size size"]:
    """Bilinear, antialiased when it shrinks: torchvision's `resize(images, [size, size], antialias=True)`."""
    images = unit(images)
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


def background(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 1 1"]:
    """What lies around an image: the median of its edge. Black about a digit, white about a logo."""
    edge = torch.cat([images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1]], dim=-1)
    return edge.sort(dim=-1).values[..., edge.shape[-1] // 2, None, None]


def crop_resize(images: Pixels, matrix: Float[Tensor, "n 3 3"], size: int) -> Float[Tensor, "n c size size"]:
    """Resampling by matrices that only crop and mirror: torchvision's `resized_crop(…, antialias=True)`.

    What lies outside a crop does not bleed into it. Shrinking needs antialiasing: two products with the
    weights of rows and of columns. Enlarging would get the same from them, but samples a grid in half the
    time.
    """
    matrix = matrix.to(images.device)
    height, width = images.shape[-2:]
    shrinks = height > size or width > size
    out = torch.empty(*images.shape[:2], size, size, device=images.device)
    for piece, m, result in pieces(images, matrix, out):
        piece = unit(piece)
        if shrinks:
            rows = _weights(m[:, 1, 1], m[:, 1, 2], height, size)
            columns = _weights(m[:, 0, 0], m[:, 0, 2], width, size)
            n, c = piece.shape[:2]
            narrow = torch.bmm(piece.reshape(n, c * height, width), columns.mT).view(n, c, height, size)
            torch.matmul(rows[:, None], narrow, out=result)
        else:
            grid = piece.new_empty(len(piece), size, size, 2)
            grid[..., 0] = _positions(m[:, 0, 0], m[:, 0, 2], width, size)[:, None, :]
            grid[..., 1] = _positions(m[:, 1, 1], m[:, 1, 2], height, size)[:, :, None]
            result.copy_(F.grid_sample(piece, grid, padding_mode="border", align_corners=False))
    return out


def _centres(size: int, device: torch.device) -> Float[Tensor, " size"]:
    return (torch.arange(size, device=device, dtype=torch.float32) * 2 + 1) / size - 1


def _positions(
    scale: Float[Tensor, " n"], shift: Float[Tensor, " n"], length: int, size: int
) -> Float[Tensor, "n size"]:
    """Where each output pixel of an axis is read, kept half a pixel inside the crop."""
    at = torch.addcmul(shift[:, None], _centres(size, scale.device), scale[:, None])
    reach = (scale.abs() - 1 / length)[:, None]
    return torch.maximum(torch.minimum(at, shift[:, None] + reach), shift[:, None] - reach)


def _weights(
    scale: Float[Tensor, " n"], shift: Float[Tensor, " n"], length: int, size: int
) -> Float[Tensor, "n size length"]:
    """How much of each input pixel of an axis is in each output pixel: a triangle as wide as the scale."""
    centres = torch.addcmul(shift[:, None], _centres(size, scale.device), scale[:, None])
    inputs = _centres(length, scale.device)
    narrowness = (size / length / scale.abs()).clamp_(max=1) * (length / 2)
    weights = (inputs - centres[..., None]).abs_().mul_(-narrowness[:, None, None]).add_(1).relu_()
    inside = (inputs - shift[:, None]).abs() < scale.abs()[:, None]
    weights.mul_(inside[:, None])
    return weights.div_(weights.sum(dim=-1, keepdim=True))


def warp(
    images: Pixels,
    matrix: Float[Tensor, "n 3 3"],
    size: int,
    fill: Float[Tensor, "n c 1 1"] | None = None,
) -> Float[Tensor, "n c size size"]:
    """Bilinear resampling by any homographies; outside the image is `fill`, or else its `background`.

    Images larger than `size` are first shrunk to it with antialiasing, as a `Resize` would.
    """
    if max(images.shape[-2:]) > size:
        images = resize(images, size)
    matrix = matrix.to(images.device)
    out = torch.empty(*images.shape[:2], size, size, device=images.device)
    fills = out.new_empty(len(out), 0) if fill is None else fill
    centres = _centres(size, images.device)
    for piece, m, given, result in pieces(images, matrix, fills, out):
        piece = unit(piece)
        around = background(piece) if fill is None else given
        grid = piece.new_empty(len(piece), size, size, 2)
        depth = _plane(m[:, 2], centres).clamp_(min=1e-3)
        for axis in range(2):
            torch.div(_plane(m[:, axis], centres), depth, out=grid[..., axis])
        torch.add(F.grid_sample(piece - around, grid, align_corners=False), around, out=result)
    return out


def _plane(row: Float[Tensor, "n 3"], centres: Float[Tensor, " size"]) -> Float[Tensor, "n size size"]:
    """One row of the homographies at every output pixel."""
    x, y, one = row[:, :, None].unbind(1)
    return torch.addcmul(one, centres, x)[:, None, :] + (centres * y)[:, :, None]
