"""What a random operation on images is: a name, checked settings, and a draw of parameters.

Every operation keeps *drawing* parameters apart from *applying* them: `sample` is a function of a generator,
`apply` a pure function of images and parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeGuard, get_type_hints

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.errors import UserError
from likewise.seeding import draw_rows

Size = tuple[int, int]  # height, width in pixels
Number = int | float
Interval = tuple[Number, Number]  # least, most


@dataclass(frozen=True)
class Within:
    """The setting takes one number in [low, high]."""

    low: Number
    high: Number

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def __call__(self, value: object) -> float | None:
        """The value as it is kept, or None when it is impossible."""
        return float(value) if _is_number(value) and self.low <= value <= self.high else None


@dataclass(frozen=True)
class Between:
    """The setting takes a pair (least, most) with above < least <= most <= high."""

    above: Number
    high: Number = math.inf

    def __str__(self) -> str:
        limit = f" and at most {self.high:g}" if self.high < math.inf else ""
        return f"two numbers [least, most], least <= most, above {self.above:g}{limit}"

    def __call__(self, value: object) -> tuple[float, float] | None:
        """The value as it is kept, or None when it is impossible."""
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):
            return None
        least, most = value
        return (float(least), float(most)) if self.above < least <= most <= self.high else None


def _is_number(value: object) -> TypeGuard[Number]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


Probability = Annotated[Number, Within(0, 1)]


@dataclass(frozen=True)
class Operation:
    """A random change of a batch of images. Subclasses are frozen dataclasses of their settings.

    Raises `UserError` when a setting has an impossible value.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for name in self.settings():
            object.__setattr__(self, name, self.checked(name, getattr(self, name)))

    @classmethod
    @cache
    def settings(cls) -> dict[str, Within | Between]:
        """The settings by name, and what each takes."""
        hints = get_type_hints(cls, include_extras=True)
        return {setting.name: hints[setting.name].__metadata__[0] for setting in fields(cls)}

    @classmethod
    def checked(cls, setting: str, value: object) -> float | tuple[float, float]:
        """The value as it is kept; `UserError` when it is impossible."""
        takes = cls.settings()[setting]
        kept = takes(value)
        if kept is None:
            raise UserError(f"{setting} of operation '{cls.name}' must be {takes}, got {value!r}")
        return kept

    def sample(self, n: int, size: Size, generator: torch.Generator) -> Any:
        """Parameters for `n` images of `size`, on the generator's device; identity for those not drawn."""
        raise NotImplementedError

    def draw(self, n: int, size: Size, generator: torch.Generator) -> Any:
        """`sample` for `n` images that may be a part of a batch; see `likewise.seeding.draw_rows`."""
        return draw_rows(lambda rows, whole: self.sample(rows, size, whole), n, generator)

    def apply(self, images: Float[Tensor, "n c h w"], params: Any) -> Float[Tensor, "n c h w"]:
        """This operation alone, with these parameters, on images in [0, 1]."""
        raise NotImplementedError


def uniform(shape: int | tuple[int, ...], low: Number, high: Number, generator: torch.Generator) -> Tensor:
    """Float32 numbers in [low, high), on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def happens(n: int, p: float, generator: torch.Generator) -> Bool[Tensor, " n"]:
    """For each of `n` samples, whether something of probability `p` happens to it."""
    return torch.rand(n, generator=generator, device=generator.device) < p


class Noise(NamedTuple):
    """White noise that some samples of a batch get, to be made on their device."""

    seed: Int[Tensor, ""]
    place: Int[Tensor, " n"]  # of a sample among those of the batch that get noise
    total: Int[Tensor, ""]  # of these

    @classmethod
    def of(cls, seed: Int[Tensor, ""], drawn: Bool[Tensor, " n"]) -> Noise:
        """The noise of the samples that were drawn."""
        return cls(seed, drawn.cumsum(0) - 1, drawn.sum())

    def like(self, samples: Float[Tensor, " m *rest"], drawn: Bool[Tensor, " n"]) -> Float[Tensor, " m *rest"]:
        """Standard Gaussian noise for the samples that were drawn: the same whichever part of the batch they are."""
        seeded = torch.Generator(samples.device).manual_seed(int(self.seed))
        shape = (int(self.total), *samples.shape[1:])
        first = int(self.place[drawn][0])
        return torch.randn(shape, generator=seeded, device=samples.device)[first : first + len(samples)]


def pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors in matching slices of their first dimension, as large as a processor's cache likes.

    Several passes over half a megabyte at a time are up to a third faster than over all of it. Accelerators
    get all at once.
    """
    first = tensors[0]
    if first.device.type != "cpu" or not first.numel():
        return iter([tensors])
    length = max(1, 2**17 * len(first) // first.numel())
    return zip(*(tensor.split(length) for tensor in tensors), strict=True)
