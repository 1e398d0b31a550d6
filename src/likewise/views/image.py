"""Views of images: whole batches at once, on their own device, from bytes to what an encoder takes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likewise.checks import check_int, require
from likewise.views.colour import Colour, ColourMap, luma
from likewise.views.filters import Filter
from likewise.views.operation import Number, Operation
from likewise.views.presets import light, parts
from likewise.views.resample import crop_resize, resize, warp
from likewise.views.spatial import RandomResizedCrop, Spatial, identity
from likewise.views.specification import operations, spell

LARGEST = 8192  # px
MOST_CHANNELS = 1024  # a spectrometer has some hundreds
# Of ImageNet's training set, as torchvision and timm use them; other channels: the middle of the range.
MEANS = {3: (0.485, 0.456, 0.406)}
DEVIATIONS = {3: (0.229, 0.224, 0.225)}
MIDDLE, QUARTER = 0.5, 0.25
CAPTIONED = (RandomResizedCrop(scale=(0.5, 1.0)),)


class ImageViews:
    """Random views of a batch of images, uint8 `(n, c, h, w)` -> float32 `(n, channels, size, size)`.

    `ops` run in three stages, within a stage in the order given: spatial ones (composed into one
    resampling), those of colour (composed into one small matrix), then the others; normalisation follows.
    Batches of another size are resized in that one resampling; three channels become one by luma, one
    becomes three by repetition, other numbers of channels stay. A view is a pure function of the batch and the
    generator's state; a generator on the CPU serves every device.

    `second`: the operations of the `second` view; by default `ops`.
    `weak`: the operations of the `weak` view; by default a slight crop and the mirrorings among `ops` (see
    `presets.light`).
    `local`: the operations of the `local` view; by default `ops` with smaller crops (see `presets.parts`).
    `mean`, `std`: of the normalisation, per channel, in [0, 1]; by default ImageNet's for three channels.
    `range`: the numbers that levels 0 and 255 of the images stand for, where they were made of such: other data is read
    with the same; see `likewise.data.levels`.
    Raises `UserError` for impossible values.
    """

    modality: ClassVar[str] = "image"

    def __init__(
        self,
        ops: Iterable[Any],
        *,
        size: int,
        channels: int,
        second: Iterable[Any] | None = None,
        weak: Iterable[Any] | None = None,
        local: Iterable[Any] | None = None,
        mean: Sequence[Number] | None = None,
        std: Sequence[Number] | None = None,
        range: Sequence[Number] | None = None,
    ) -> None:
        check_int(4, LARGEST, size=size)
        check_int(1, MOST_CHANNELS, channels=channels)
        self.size = size
        self.channels = channels
        self.ops = operations(ops)
        self.second_ops = self.ops if second is None else operations(second)
        self.weak_ops = light(self.ops, size) if weak is None else operations(weak)
        self.local_ops = parts(self.ops) if local is None else operations(local)
        self.mean = _per_channel("mean", MEANS.get(channels, (MIDDLE,) * channels) if mean is None else mean, channels)
        deviations = DEVIATIONS.get(channels, (QUARTER,) * channels)
        self.std = _per_channel("std", deviations if std is None else std, channels)
        require(min(self.std) > 0, "std", "numbers above 0", list(self.std))
        self.range = None if range is None else tuple(range)

    def __call__(self, batch: UInt8[Tensor, "n _ _ _"], generator: torch.Generator) -> Float[Tensor, "n c s s"]:
        """One random view of every image."""
        return self._view(batch, self.ops, generator)

    def second(self, batch: UInt8[Tensor, "n _ _ _"], generator: torch.Generator) -> Float[Tensor, "n c s s"]:
        """One random view of every image by the operations of the second of two views."""
        return self._view(batch, self.second_ops, generator)

    def located_pair(
        self, batch: UInt8[Tensor, "n _ height width"], generator: torch.Generator
    ) -> tuple[Float[Tensor, "n c s s"], Float[Tensor, "n c s s"], Float[Tensor, "n 2 3 3"]]:
        """The views that calling these and `second` make, and where in the image each lies.

        That is a homography from the normalized coordinates of the view, whose edges are -1 and 1, to pixels of the
        image, counted from its middle.
        """
        (first, one), (second, other) = (
            self._view_with_matrix(batch, ops, generator, self.size) for ops in (self.ops, self.second_ops)
        )
        height, width = batch.shape[-2:]
        half = one.new_tensor([[width / 2], [height / 2], [1.0]])
        return first, second, torch.stack([half * one, half * other], dim=1).to(first.device)

    def weak(self, batch: UInt8[Tensor, "n _ _ _"], generator: torch.Generator) -> Float[Tensor, "n c s s"]:
        """One random view of every image that keeps its label: for supervised training."""
        return self._view(batch, self.weak_ops, generator)

    def captioned(self, batch: UInt8[Tensor, "n _ _ _"], generator: torch.Generator) -> Float[Tensor, "n c s s"]:
        """One random view of every image that its caption still fits: at least half of it, in its colours.

        That of CLIP in SLIP (arXiv:2112.12750). Where `ops` are none, the images themselves.
        """
        return self._view(batch, CAPTIONED if self.ops else (), generator)

    def local(self, batch: UInt8[Tensor, "n _ _ _"], generator: torch.Generator) -> Float[Tensor, "n c t t"]:
        """One random view of a small part of every image, 3/7 as high and wide as a whole one (96 px beside 224)."""
        return self._view(batch, self.local_ops, generator, max(4, round(self.size * 3 / 28) * 4))

    def clean(self, batch: UInt8[Tensor, "n _ _ _"]) -> Float[Tensor, "n c s s"]:
        """The images themselves, resized (antialiased) and normalised: for evaluation."""
        return self._view(batch, (), torch.Generator())

    def of_size(self, size: int) -> ImageViews:
        """The same views in another size: crops cover as much of the image, a blur has as many pixels."""
        check_int(4, LARGEST, size=size)
        views = copy.copy(self)
        views.size = size
        return views

    def picture(self, view: Float[Tensor, "n c s s"]) -> UInt8[Tensor, "n shown s s"]:
        """A view as something to look at, grey or RGB: normalisation undone, clamped to bytes.

        Of two channels it shows the first as grey, of more than three the first three as red, green and blue.
        """
        shown = 1 if self.channels == 2 else min(self.channels, 3)
        mean, std = (each[:shown] for each in self._normalisation(view.device))
        view = view[:, :shown]
        return view.detach().float().mul(std).add_(mean).mul_(255).round_().clamp_(0, 255).to(torch.uint8)

    def config(self) -> dict[str, Any]:
        """Everything about these views in plain values; see `from_config`."""
        return {
            "size": self.size,
            "channels": self.channels,
            "ops": spell(self.ops),
            "second": spell(self.second_ops),
            "weak": spell(self.weak_ops),
            "local": spell(self.local_ops),
            "mean": list(self.mean),
            "std": list(self.std),
            "range": None if self.range is None else list(self.range),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ImageViews:
        """The views whose `config()` this is."""
        return cls(**config)

    def __str__(self) -> str:
        same = self.second_ops == self.ops
        return _names(self.ops) + ("" if same else f"; the second: {_names(self.second_ops)}")

    def _normalisation(self, device: torch.device) -> tuple[Tensor, Tensor]:
        mean, std = torch.tensor([self.mean, self.std], device=device)[..., None, None]
        return mean, std

    def _view(
        self,
        batch: UInt8[Tensor, "n _ _ _"],
        ops: tuple[Operation, ...],
        generator: torch.Generator,
        size: int | None = None,
    ) -> Float[Tensor, "n c s s"]:
        return self._view_with_matrix(batch, ops, generator, size or self.size)[0]

    @torch.no_grad()
    def _view_with_matrix(
        self, batch: UInt8[Tensor, "n _ _ _"], ops: tuple[Operation, ...], generator: torch.Generator, size: int
    ) -> tuple[Float[Tensor, "n c s s"], Float[Tensor, "n 3 3"]]:
        # Half-precision products, which autocast would choose, blur positions and colours.
        with torch.autocast(batch.device.type, enabled=False):
            images, matrix = self._resampled(batch, [op for op in ops if isinstance(op, Spatial)], generator, size)
            if images.shape[1] < self.channels:
                images = images.expand(-1, self.channels, -1, -1).contiguous()
            shape = (len(images), (size, size), generator)
            if colour := [op for op in ops if isinstance(op, Colour)]:
                colours = ColourMap.of(images)
                for op in colour:
                    colours = op.compose(colours, op.draw(*shape))
                colours.apply_(images)
            for effect in [op for op in ops if isinstance(op, Filter)]:
                effect.apply_(images, effect.draw(*shape))
            mean, std = self._normalisation(images.device)
            return images.sub_(mean).div_(std), matrix

    def _resampled(
        self, batch: UInt8[Tensor, "n _ _ _"], spatial: list[Spatial], generator: torch.Generator, size: int
    ) -> tuple[Float[Tensor, "n _ s s"], Float[Tensor, "n 3 3"]]:
        """Floats in [0, 1] of the right size, with the fewest channels, and where in the image they lie."""
        given, wanted = batch.shape[1], self.channels
        require(given == wanted or {given, wanted} == {1, 3}, "channels", f"{wanted}, as the views have", given)
        images = luma(batch).mul_(1 / 255) if given > wanted else batch
        height, width = images.shape[-2:]
        frame = (height, width)
        matrix = identity(len(images), generator.device)
        if not spatial:
            return resize(images, size), matrix
        for op in spatial:
            matrix = matrix @ op.matrix(op.draw(len(images), frame, generator), frame)
            # A crop's outcome is square, and so is what follows it.
            frame = (size, size) if isinstance(op, RandomResizedCrop) else frame
        resample = crop_resize if all(op.straight for op in spatial) else warp
        return resample(images, matrix, size), matrix


def _per_channel(name: str, values: Sequence[Number], channels: int) -> tuple[float, ...]:
    require(len(values) == channels, name, f"{channels} numbers, one per channel", list(values))
    return tuple(float(value) for value in values)


def _names(ops: tuple[Operation, ...]) -> str:
    return ", ".join(op.name for op in ops) or "as they are"
