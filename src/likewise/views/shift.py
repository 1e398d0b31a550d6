"""Random crops and shifts of observations: whole batches of bytes on their device, a window of each image.

The channels of an image, such as the frames of a stack, move together. Where a window lies is a pure function of the
generator's state.
"""

from __future__ import annotations

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from likewise.checks import check_int
from likewise.seeding import draw_rows


def random_crop(
    images: Shaped[Tensor, "n c h w"], size: int, generator: torch.Generator
) -> Shaped[Tensor, "n c size size"]:
    """A square window of each image, at a place of its own (RAD, arXiv:2004.14990; CURL, arXiv:2004.04136).

    Args:
        images: of any type.
        size: height and width of the windows, at most those of the images.
        generator: on the CPU.
    """
    height, width = images.shape[2:]
    check_int(1, min(height, width), size=size)
    return _windows(images, size, size, _places(len(images), height - size, width - size, generator))


def random_shift(images: Shaped[Tensor, "n c h w"], pad: int, generator: torch.Generator) -> Shaped[Tensor, "n c h w"]:
    """Each image moved by up to `pad` pixels each way; its edge is repeated (DrQ, arXiv:2004.13649).

    Args:
        images: of any type.
        pad: pixels by which the image is padded on each side, before a window of its own size is taken.
        generator: on the CPU.
    """
    check_int(0, pad=pad)
    height, width = images.shape[2:]
    return _windows(images, height, width, _places(len(images), 2 * pad, 2 * pad, generator) - pad)


def center_crop(images: Shaped[Tensor, "n c h w"], size: int) -> Shaped[Tensor, "n c size size"]:
    """The window in the middle of each image."""
    height, width = images.shape[2:]
    check_int(1, min(height, width), size=size)
    top, left = (height - size) // 2, (width - size) // 2
    return images[:, :, top : top + size, left : left + size]


def _places(n: int, most_down: int, most_right: int, generator: torch.Generator) -> Int[Tensor, "n 2"]:
    """How far down and to the right each window begins."""

    def draw(rows: int, generator: torch.Generator) -> Tensor:
        return torch.stack(
            [torch.randint(most + 1, (rows,), generator=generator) for most in (most_down, most_right)], 1
        )

    return draw_rows(draw, n, generator)


def _windows(
    images: Shaped[Tensor, "n c h w"], height: int, width: int, places: Int[Tensor, "n 2"]
) -> Shaped[Tensor, "n c height width"]:
    """The window of each image that begins at its place; outside of the image its edge is repeated."""
    n, channels, whole_height, whole_width = images.shape
    down, right = places.to(images.device).T
    rows = (down[:, None] + torch.arange(height, device=images.device)).clamp_(0, whole_height - 1)
    columns = (right[:, None] + torch.arange(width, device=images.device)).clamp_(0, whole_width - 1)
    strips = images.gather(2, rows[:, None, :, None].expand(n, channels, height, whole_width))
    return strips.gather(3, columns[:, None, None, :].expand(n, channels, height, width))
