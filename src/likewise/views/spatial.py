"""Spatial operations: where each pixel of the view is taken from. A chain of them is one resampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.views.operation import (
    Between,
    Interval,
    Number,
    Operation,
    Probability,
    Size,
    Within,
    happens,
    uniform,
)
from likewise.views.resample import crop_resize, warp


@dataclass(frozen=True)
class Spatial(Operation):
    """An operation that is one homography per sample."""

    straight: ClassVar[bool] = False  # only crops and mirrors: rows stay rows

    def matrix(self, params: Any, size: Size) -> Float[Tensor, "n 3 3"]:
        """From the output's normalised coordinates to those of the input, an image of `size`."""
        raise NotImplementedError

    def apply(self, images: Float[Tensor, "n c s s"], params: Any) -> Float[Tensor, "n c s s"]:
        """This operation alone, on square images in [0, 1]; black comes in from outside."""
        size = images.shape[-1]
        matrix = self.matrix(params, (size, size))
        if self.straight:
            return crop_resize(images, matrix, size)
        return warp(images, matrix, size, fill=images.new_zeros(*images.shape[:2], 1, 1))


def identity(n: int, device: torch.device) -> Float[Tensor, "n 3 3"]:
    """`n` matrices that leave every pixel where it is."""
    return torch.eye(3, device=device).repeat(n, 1, 1)


def boxes(
    n: int,
    size: Size,
    scale: Interval,
    ratio: Interval,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n 10"], Float[Tensor, "n 10"]]:
    """Heights and widths in whole pixels of random boxes, ten tries for each: some are larger than the image.

    Their area, as a part of the image's, is uniform in `scale`, width over height log-uniform in `ratio`.
    """
    area = size[0] * size[1] * uniform((n, 10), *scale, generator)
    aspect = uniform((n, 10), math.log(ratio[0]), math.log(ratio[1]), generator).exp_()
    return (area / aspect).sqrt_().round_(), (area * aspect).sqrt_().round_()


def place(
    heights: Float[Tensor, " n"], widths: Float[Tensor, " n"], size: Size, generator: torch.Generator
) -> Int[Tensor, "n 4"]:
    """Boxes (top, left, height, width) of these sizes at uniformly random whole places inside the image."""
    spare = torch.stack([size[0] - heights, size[1] - widths], dim=1)
    corners = (uniform((len(heights), 2), 0, 1, generator) * (spare + 1)).floor_().minimum(spare)
    return torch.cat([corners, torch.stack([heights, widths], dim=1)], dim=1).long()


def first_fitting(fits: Bool[Tensor, "n tries"], values: Float[Tensor, "n tries"]) -> Float[Tensor, " n"]:
    """Of each row, the first value that fits (the first of all where none does)."""
    return values.gather(1, fits.int().argmax(dim=1, keepdim=True)).squeeze(1)


@dataclass(frozen=True)
class RandomResizedCrop(Spatial):
    """A random part of the image, enlarged to the whole: Szegedy et al. 2014, arXiv:1409.4842.

    `scale`: area of the part, of the image's. `ratio`: its width over its height. The distribution is that of
    torchvision's `RandomResizedCrop.get_params`. Equals `resized_crop(antialias=True)` within 2e-5 in [0, 1].
    """

    name: ClassVar[str] = "crop"
    straight: ClassVar[bool] = True

    scale: Annotated[Interval, Between(above=0, high=1)] = (0.2, 1.0)
    ratio: Annotated[Interval, Between(above=0)] = (3 / 4, 4 / 3)

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Int[Tensor, "n 4"]:
        """(top, left, height, width) in whole pixels."""
        height, width = size
        heights, widths = boxes(n, size, self.scale, self.ratio, generator)
        fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
        place_ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        central = (min(height, round(width / place_ratio)), min(width, round(height * place_ratio)))
        some = fits.any(dim=1)
        drawn = place(
            torch.where(some, first_fitting(fits, heights), central[0]),
            torch.where(some, first_fitting(fits, widths), central[1]),
            size,
            generator,
        )
        middle = drawn.new_tensor([(height - central[0]) // 2, (width - central[1]) // 2, *central])
        return torch.where(some[:, None], drawn, middle)

    def matrix(self, params: Int[Tensor, "n 4"], size: Size) -> Float[Tensor, "n 3 3"]:
        """See `Spatial.matrix`."""
        top, left, height, width = params.float().unbind(1)
        matrix = identity(len(params), params.device)
        matrix[:, 0, 0] = width / size[1]
        matrix[:, 1, 1] = height / size[0]
        matrix[:, 0, 2] = (2 * left + width) / size[1] - 1
        matrix[:, 1, 2] = (2 * top + height) / size[0] - 1
        return matrix


@dataclass(frozen=True)
class HorizontalFlip(Spatial):
    """Left and right exchanged. Equals torchvision's `horizontal_flip` within 2e-5 in [0, 1]."""

    name: ClassVar[str] = "horizontal-flip"
    straight: ClassVar[bool] = True
    axis: ClassVar[int] = 0

    p: Probability = 0.5

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Bool[Tensor, " n"]:
        """Which samples are mirrored."""
        return happens(n, self.p, generator)

    def matrix(self, params: Bool[Tensor, " n"], size: Size) -> Float[Tensor, "n 3 3"]:
        """See `Spatial.matrix`."""
        matrix = identity(len(params), params.device)
        matrix[:, self.axis, self.axis] = 1 - 2 * params.float()
        return matrix


@dataclass(frozen=True)
class VerticalFlip(HorizontalFlip):
    """Top and bottom exchanged. Equals torchvision's `vertical_flip` within 2e-5 in [0, 1]."""

    name: ClassVar[str] = "vertical-flip"
    axis: ClassVar[int] = 1


@dataclass(frozen=True)
class Rotation(Spatial):
    """A turn about the centre by an angle uniform in [-degrees, degrees], counter-clockwise when positive.

    Equals torchvision's `rotate(BILINEAR)` within 5e-5 in [0, 1].
    """

    name: ClassVar[str] = "rotation"

    degrees: Annotated[Number, Within(0, 180)] = 15.0
    p: Probability = 1.0

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Degrees; 0 where nothing happens."""
        return uniform(n, -self.degrees, self.degrees, generator) * happens(n, self.p, generator)

    def matrix(self, params: Float[Tensor, " n"], size: Size) -> Float[Tensor, "n 3 3"]:
        """See `Spatial.matrix`."""
        height, width = size
        cos, sin = params.deg2rad().cos(), params.deg2rad().sin()
        matrix = identity(len(params), params.device)
        matrix[:, 0, 0] = matrix[:, 1, 1] = cos
        matrix[:, 0, 1] = -sin * (height / width)
        matrix[:, 1, 0] = sin * (width / height)
        return matrix


@dataclass(frozen=True)
class Shear(Spatial):
    """Rows and columns slide by angles uniform in [-degrees, degrees], each its own.

    Equals torchvision's `affine(shear=[x, y], BILINEAR)` within 5e-5 in [0, 1].
    """

    name: ClassVar[str] = "shear"

    degrees: Annotated[Number, Within(0, 60)] = 10.0
    p: Probability = 1.0

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, "n 2"]:
        """Degrees in x and in y; 0 where nothing happens."""
        return uniform((n, 2), -self.degrees, self.degrees, generator) * happens(n, self.p, generator)[:, None]

    def matrix(self, params: Float[Tensor, "n 2"], size: Size) -> Float[Tensor, "n 3 3"]:
        """See `Spatial.matrix`."""
        height, width = size
        x, y = params.deg2rad().tan().unbind(1)
        matrix = identity(len(params), params.device)
        matrix[:, 0, 0] = 1 + x * y
        matrix[:, 0, 1] = x * (height / width)
        matrix[:, 1, 0] = y * (width / height)
        return matrix


@dataclass(frozen=True)
class Perspective(Spatial):
    """The image seen from aside: each corner moves inwards by up to `distortion` of half the image.

    Equals torchvision's `perspective(BILINEAR)` within 2e-4 in [0, 1].
    """

    name: ClassVar[str] = "perspective"

    distortion: Annotated[Number, Within(0, 0.9)] = 0.2
    p: Probability = 1.0

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, "n 4 2"]:
        """How far corners (top left, top right, bottom right, bottom left) move inwards, in half images."""
        moved = uniform((n, 4, 2), 0, self.distortion, generator)
        return moved * happens(n, self.p, generator)[:, None, None]

    def matrix(self, params: Float[Tensor, "n 4 2"], size: Size) -> Float[Tensor, "n 3 3"]:
        """See `Spatial.matrix`. In closed form: Heckbert 1989, "Fundamentals of texture mapping", 2.2.3."""
        corners = params.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        quad = corners * (1 - params)
        a, b, c, d = quad.unbind(1)
        across, up, closing = b - c, d - c, a - b + c - d
        g, h = _det(closing, up) / _det(across, up), _det(across, closing) / _det(across, up)
        from_unit_square = torch.stack(
            [
                torch.cat([b - a + g[:, None] * b, g[:, None]], dim=1),
                torch.cat([d - a + h[:, None] * d, h[:, None]], dim=1),
                torch.cat([a, torch.ones_like(g)[:, None]], dim=1),
            ],
            dim=2,
        )
        unit_square_to_image = params.new_tensor([[2, 0, -1], [0, 2, -1], [0, 0, 1]])
        matrix = unit_square_to_image @ torch.linalg.inv(from_unit_square)
        return matrix / matrix[:, 2:, 2:]


def _det(first: Float[Tensor, "n 2"], second: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
