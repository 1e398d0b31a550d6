"""Blur, noise, solarisation, erasing: they touch only the samples that drew them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.views.colour import on_drawn_
from likewise.views.operation import (
    Between,
    Interval,
    Noise,
    Number,
    Operation,
    Probability,
    Size,
    Within,
    happens,
    uniform,
)
from likewise.views.resample import background
from likewise.views.spatial import boxes, first_fitting, place


@dataclass(frozen=True)
class Filter(Operation):
    """An operation that reads a pixel's neighbours, its place or chance."""

    def apply_(self, images: Float[Tensor, "n c h w"], params: Any) -> Float[Tensor, "n c h w"]:
        """In place, on images in [0, 1]."""
        raise NotImplementedError

    def apply(self, images: Float[Tensor, "n c h w"], params: Any) -> Float[Tensor, "n c h w"]:
        """This operation alone, on images in [0, 1]."""
        return self.apply_(images.clone(), params)


@dataclass(frozen=True)
class Blur(Filter):
    """Gaussian blur of a width uniform in `sigma` (pixels); its kernel spans a part `kernel` of the image.

    SimCLR's (arXiv:2002.05709) is sigma 0.1 to 2, kernel a tenth of the image: 23 of 224 pixels.
    Equals torchvision's `gaussian_blur` within 2e-6 in [0, 1].
    """

    name: ClassVar[str] = "blur"

    sigma: Annotated[Interval, Between(above=0)] = (0.1, 2.0)
    p: Probability = 0.5
    kernel: Annotated[Number, Within(0, 0.5)] = 0.1

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Sigmas in pixels; 0 where nothing happens."""
        return uniform(n, *self.sigma, generator) * happens(n, self.p, generator)

    def apply_(self, images: Float[Tensor, "n c h w"], params: Float[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """See `Filter.apply_`."""
        radius = max(1, int(self.kernel * min(images.shape[-2:]) / 2))
        return on_drawn_(images, params > 0, partial(blur, radius=radius), params)


def blur(images: Float[Tensor, "n c h w"], sigma: Float[Tensor, " n"], radius: int) -> Float[Tensor, "n c h w"]:
    """Gaussian blur with a kernel of 2 radius + 1 pixels per side; edges are reflected."""
    n, c, height, width = images.shape
    at = torch.arange(-radius, radius + 1, device=images.device) / sigma[:, None]
    # Weights too small to matter are denormal numbers, with which processors are several times slower.
    kernel = torch.threshold_(at.square_().mul_(-0.5).softmax(dim=1), 1e-9, 0.0).repeat_interleave(c, dim=0)
    # Each channel of each sample is a group of one convolution, first along x, then along y.
    flat = F.pad(images, (radius,) * 4, mode="reflect").view(1, n * c, height + 2 * radius, width + 2 * radius)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=n * c)
    return F.conv2d(flat, kernel[:, None, :, None], groups=n * c).view_as(images)


class Field(NamedTuple):
    """Parameters of `GaussianNoise`."""

    std: Float[Tensor, " n"]  # 0 where nothing happens
    noise: Noise


@dataclass(frozen=True)
class GaussianNoise(Filter):
    """Gaussian noise added to every pixel and channel, clamped to [0, 1]; `std` of the full range.

    The distribution is that of torchvision's `gaussian_noise(clip=True)`.
    """

    name: ClassVar[str] = "noise"

    std: Annotated[Number, Within(0, 1)] = 0.05
    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Field:
        """See `Field`."""
        std = happens(n, self.p, generator) * self.std
        seed = torch.randint(2**62, (), generator=generator, device=generator.device)
        return Field(std, Noise.of(seed, std > 0))

    def apply_(self, images: Float[Tensor, "n c h w"], params: Field) -> Float[Tensor, "n c h w"]:
        """See `Filter.apply_`."""

        def add(drawn: Tensor, std: Tensor) -> Tensor:
            noise = params.noise.like(drawn, params.std > 0)
            return noise.mul_(std[:, None, None, None]).add_(drawn).clamp_(0, 1)

        return on_drawn_(images, params.std > 0, add, params.std)


@dataclass(frozen=True)
class Solarize(Filter):
    """Values from `threshold` up are inverted: BYOL, arXiv:2006.07733. Equals torchvision's `solarize`."""

    name: ClassVar[str] = "solarize"

    threshold: Annotated[Number, Within(0, 1)] = 0.5
    p: Probability = 0.2

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Bool[Tensor, " n"]:
        """Which samples are solarised."""
        return happens(n, self.p, generator)

    def apply_(self, images: Float[Tensor, "n c h w"], params: Bool[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """See `Filter.apply_`."""
        return on_drawn_(images, params, lambda drawn: torch.where(drawn >= self.threshold, 1 - drawn, drawn))


@dataclass(frozen=True)
class Erasing(Filter):
    """A random box is painted over with the image's background: Zhong et al. 2017, arXiv:1708.04896.

    `scale`: area of the box, of the image's. `ratio`: its height over its width. The distribution is that of
    torchvision's `RandomErasing.get_params`; the result equals its `erase` exactly.
    """

    name: ClassVar[str] = "erasing"

    p: Probability = 0.25
    scale: Annotated[Interval, Between(above=0, high=1)] = (0.02, 0.2)
    ratio: Annotated[Interval, Between(above=0)] = (0.3, 3.3)

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Int[Tensor, "n 4"]:
        """(top, left, height, width) in whole pixels; a box without area where nothing happens."""
        height, width = size
        # The other way round than a crop's: torchvision's RandomErasing takes height over width.
        widths, heights = boxes(n, size, self.scale, self.ratio, generator)
        fits = (heights < height) & (widths < width)
        drawn = happens(n, self.p, generator) & fits.any(dim=1)
        return place(first_fitting(fits, heights) * drawn, first_fitting(fits, widths) * drawn, size, generator)

    def apply_(self, images: Float[Tensor, "n c h w"], params: Int[Tensor, "n 4"]) -> Float[Tensor, "n c h w"]:
        """See `Filter.apply_`."""
        has_area = (params[:, 2:] > 0).all(dim=1)
        return on_drawn_(images, has_area, lambda drawn, boxes: erase(drawn, boxes, background(drawn)), params)


def erase(
    images: Float[Tensor, "n c h w"], boxes: Int[Tensor, "n 4"], value: Float[Tensor, "n c 1 1"]
) -> Float[Tensor, "n c h w"]:
    """`value` inside boxes (top, left, height, width), the images outside."""
    height, width = images.shape[-2:]
    top, left, tall, wide = boxes[:, :, None].unbind(1)
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows = (y >= top) & (y < top + tall)
    columns = (x >= left) & (x < left + wide)
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], value, images)
