"""Colour operations: brightness, contrast, saturation, grayscale, hue.

All but hue are affine in a pixel's channels, so any chain of them is one small matrix per sample. Contrast
needs the mean grey of the image it gets, which is an affine function of the channels' means, so the
composition is exact but for one thing: torchvision clamps to [0, 1] after every step, this does once after
all. Turns of hue add up to one turn, made last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.views.operation import Number, Operation, Probability, Size, Within, happens, pieces, uniform

LUMA = (0.2989, 0.587, 0.114)  # torchvision's, ITU-R BT.601


def luma(images: Tensor) -> Tensor:
    """Grey `(n, 1, h, w)` of `(n, 3, h, w)`, float32 in the units of the input."""
    weights = torch.tensor(LUMA, device=images.device)
    return torch.einsum("nchw,c->nhw", images.float(), weights)[:, None]


@dataclass(frozen=True)
class ColourMap:
    """Of each sample's colours: pixel -> matrix @ pixel + offset, clamped to [0, 1], then a turn of hue."""

    matrix: Float[Tensor, "n c c"]
    offset: Float[Tensor, "n c"]
    turn: Float[Tensor, " n"]  # of hue, in turns of the circle; on the generator's device
    mean: Float[Tensor, "n c"]  # of the channels, before the map

    @classmethod
    def of(cls, images: Float[Tensor, "n c h w"]) -> ColourMap:
        """The map that changes nothing in these images."""
        n, c = images.shape[:2]
        return cls(
            matrix=torch.eye(c, device=images.device).repeat(n, 1, 1),
            offset=torch.zeros(n, c, device=images.device),
            turn=torch.zeros(n),
            mean=images.mean(dim=(2, 3)),
        )

    @property
    def grey(self) -> Float[Tensor, " c"]:
        """Weights of the channels in grey: those of red, green and blue; of other channels all equal."""
        if (channels := self.mean.shape[1]) != 3:
            return torch.full((channels,), 1 / channels, device=self.mean.device)
        return torch.tensor(LUMA, device=self.mean.device)

    def brightness(self, factor: Float[Tensor, " n"]) -> ColourMap:
        """Times `factor`."""
        factor = factor.to(self.offset.device)
        return replace(self, matrix=self.matrix * factor[:, None, None], offset=self.offset * factor[:, None])

    def contrast(self, factor: Float[Tensor, " n"]) -> ColourMap:
        """Towards (factor < 1) or away from the mean grey of the image."""
        factor = factor.to(self.offset.device)
        mean = ((self.matrix @ self.mean[..., None]).squeeze(2) + self.offset) @ self.grey
        brighter = self.brightness(factor)
        return replace(brighter, offset=brighter.offset + ((1 - factor) * mean)[:, None])

    def saturation(self, factor: Float[Tensor, " n"]) -> ColourMap:
        """Towards (factor < 1) or away from each pixel's own grey; other channels than three stay as they are."""
        if self.mean.shape[1] != 3:
            return self
        factor = factor.to(self.offset.device)[:, None]
        grey_matrix, grey_offset = self.grey @ self.matrix, self.offset @ self.grey
        return replace(
            self,
            matrix=torch.lerp(grey_matrix[:, None, :], self.matrix, factor[..., None]),
            offset=torch.lerp(grey_offset[:, None], self.offset, factor),
        )

    def hue(self, turn: Float[Tensor, " n"]) -> ColourMap:
        """By `turn` of the circle."""
        return replace(self, turn=self.turn.to(turn.device) + turn)

    def apply_(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """In place, clamped to [0, 1]."""
        turned = self.turn != 0 if images.shape[1] == 3 else torch.zeros_like(self.turn, dtype=torch.bool)
        any_turned = bool(turned.any())
        for piece, matrix, offset, turn in pieces(images, self.matrix, self.offset, self.turn):
            flat = piece.flatten(2)
            if images.shape[1] == 1:
                torch.addcmul(offset[..., None], flat, matrix, out=flat)
            else:
                flat.copy_(torch.baddbmm(offset[..., None], matrix, flat))
            flat.clamp_(0, 1)
            if any_turned:
                on_drawn_(piece, turn != 0, turn_hue, turn)
        return images


def on_drawn_(
    images: Float[Tensor, "n c h w"],
    drawn: Bool[Tensor, " n"],
    change: Callable[..., Tensor],
    *params: Tensor,
) -> Float[Tensor, "n c h w"]:
    """In place: `change(images, *params)` for the samples that were drawn, and for them only."""
    which = drawn.nonzero().squeeze(1)
    if len(which):
        here = which.to(images.device)
        changed = change(images.index_select(0, here), *(param[which].to(images.device) for param in params))
        images.index_copy_(0, here, changed)
    return images


def turn_hue(images: Float[Tensor, "n 3 h w"], turn: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Hue moved by `turn` of the circle in HSV. Equals torchvision's `adjust_hue` within 5e-6 in [0, 1]."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    hue = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, (blue - red).add_(chroma, alpha=2), (red - green).add_(chroma, alpha=4)),
    )
    hue = hue.div_(chroma.clamp(min=1e-20)).add_(6 * turn[:, None, None]).remainder_(6)
    out = torch.empty_like(images)
    # How strong each channel is, between the least and the greatest: flat tops around 0, 2 and 4 sixths.
    for channel, strength in enumerate(
        (
            (hue - 3).abs_().sub_(1),
            (hue - 2).abs_().neg_().add_(2),
            (hue - 4).abs_().neg_().add_(2),
        )
    ):
        torch.addcmul(least, strength.clamp_(0, 1), chroma, out=out[:, channel])
    return out


@dataclass(frozen=True)
class Colour(Operation):
    """An operation on the colours of a pixel, the same for all pixels of a sample."""

    def compose(self, colours: ColourMap, params: Any) -> ColourMap:
        """The map of `colours` followed by this operation."""
        raise NotImplementedError

    def apply(self, images: Float[Tensor, "n c h w"], params: Any) -> Float[Tensor, "n c h w"]:
        """This operation alone, on images in [0, 1]."""
        return self.compose(ColourMap.of(images), params).apply_(images.clone())


def _factors(n: int, strength: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    return uniform(n, max(0.0, 1 - strength), 1 + strength, generator)


@dataclass(frozen=True)
class Brightness(Colour):
    """Times a factor uniform in [max(0, 1 - strength), 1 + strength].

    Equals torchvision's `adjust_brightness` within 1e-6 in [0, 1].
    """

    name: ClassVar[str] = "brightness"

    strength: Annotated[Number, Within(0, 10)] = 0.4

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Factors."""
        return _factors(n, self.strength, generator)

    def compose(self, colours: ColourMap, params: Float[Tensor, " n"]) -> ColourMap:
        """See `Colour.compose`."""
        return colours.brightness(params)


@dataclass(frozen=True)
class Contrast(Brightness):
    """Away from the mean grey by a factor uniform in [max(0, 1 - strength), 1 + strength].

    Equals torchvision's `adjust_contrast` within 2e-6 in [0, 1].
    """

    name: ClassVar[str] = "contrast"

    def compose(self, colours: ColourMap, params: Float[Tensor, " n"]) -> ColourMap:
        """See `Colour.compose`."""
        return colours.contrast(params)


@dataclass(frozen=True)
class Saturation(Brightness):
    """Away from each pixel's grey by a factor uniform in [max(0, 1 - strength), 1 + strength].

    Equals torchvision's `adjust_saturation` within 2e-6 in [0, 1]. Other channels than three stay as they are.
    """

    name: ClassVar[str] = "saturation"

    def compose(self, colours: ColourMap, params: Float[Tensor, " n"]) -> ColourMap:
        """See `Colour.compose`."""
        return colours.saturation(params)


@dataclass(frozen=True)
class Hue(Colour):
    """Hue moved by a part of the circle uniform in [-strength, strength]; after all other colour operations.

    Equals torchvision's `adjust_hue` within 5e-6 in [0, 1]. Other channels than three stay as they are.
    """

    name: ClassVar[str] = "hue"

    strength: Annotated[Number, Within(0, 0.5)] = 0.1

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Float[Tensor, " n"]:
        """Turns of the circle."""
        return uniform(n, -self.strength, self.strength, generator)

    def compose(self, colours: ColourMap, params: Float[Tensor, " n"]) -> ColourMap:
        """See `Colour.compose`."""
        return colours.hue(params)


class Jitter(NamedTuple):
    """Parameters of `ColorJitter`."""

    factors: Float[Tensor, "n 3"]  # of brightness, contrast, saturation; 1 where nothing happens
    turn: Float[Tensor, " n"]  # of hue; 0 where nothing happens
    order: Int[Tensor, "n 3"]  # in which the three are applied: a permutation of 0, 1, 2


@dataclass(frozen=True)
class ColorJitter(Colour):
    """Brightness, contrast, saturation in an order drawn per sample, then hue; all with probability p.

    As SimCLR has it, arXiv:2002.05709 (there hue too has a random place in the order).
    """

    name: ClassVar[str] = "color-jitter"

    brightness: Annotated[Number, Within(0, 10)] = 0.4
    contrast: Annotated[Number, Within(0, 10)] = 0.4
    saturation: Annotated[Number, Within(0, 10)] = 0.4
    hue: Annotated[Number, Within(0, 0.5)] = 0.1
    p: Probability = 0.8

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Jitter:
        """See `Jitter`."""
        drawn = happens(n, self.p, generator)
        strengths = (self.brightness, self.contrast, self.saturation)
        factors = torch.stack([_factors(n, strength, generator) for strength in strengths], dim=1)
        turn = uniform(n, -self.hue, self.hue, generator)
        order = uniform((n, 3), 0, 1, generator).argsort(dim=1)
        return Jitter(torch.where(drawn[:, None], factors, 1), torch.where(drawn, turn, 0), order)

    def compose(self, colours: ColourMap, params: Jitter) -> ColourMap:
        """See `Colour.compose`."""
        for turn in params.order.unbind(1):
            brightness, contrast, saturation = (
                torch.where(turn == kind, params.factors[:, kind], 1) for kind in range(3)
            )
            colours = colours.brightness(brightness).contrast(contrast).saturation(saturation)
        return colours.hue(params.turn)


@dataclass(frozen=True)
class Grayscale(Colour):
    """All three channels become grey; others stay. Equals torchvision's `rgb_to_grayscale` within 1e-6."""

    name: ClassVar[str] = "grayscale"

    p: Probability = 0.2

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Bool[Tensor, " n"]:
        """Which samples lose their colour."""
        return happens(n, self.p, generator)

    def compose(self, colours: ColourMap, params: Bool[Tensor, " n"]) -> ColourMap:
        """See `Colour.compose`."""
        return colours.saturation(1 - params.float())
