"""What methods of pretext tasks are tested with: an encoder of patches of any size, and views that change nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.methods.base import Method, TrainingContext


class Patchwise(nn.Module):
    """`(n, channels, any, any)` -> `(n, 5)`; what it gives depends on where in the patch things are."""

    dim = 5

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(9 * channels, self.dim), nn.Tanh())

    def forward(self, view: Tensor) -> Tensor:
        return self.layers(view)


class Still:
    """Views of `channels` channels as they are: what a test cuts from them can be computed."""

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels
        self.made: list[str] = []

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        self.made.append("strong")
        return batch

    def weak(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        self.made.append("weak")
        return batch

    def clean(self, batch: Tensor) -> Tensor:
        return batch

    def picture(self, view: Tensor) -> Tensor:
        return view.detach().mul(40).add(128).clamp(0, 255).to(torch.uint8)


def built(cls: type[Method], *, channels: int = 1, samples: int = 20, batch: int = 4, **options: object) -> Method:
    """The method at the beginning of a training, in float64, with the same weights at every call."""
    torch.manual_seed(0)
    method = cls(Patchwise(channels), **options)
    method.views = Still(channels)
    method.prepare(TrainingContext(samples, batch, steps=10, steps_per_epoch=5))
    return method.double()


def images(n: int = 4, *, channels: int = 1, size: int = 24) -> Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def batch(n: int = 4, *, channels: int = 1, size: int = 24) -> Batch:
    return Batch(images(n, channels=channels, size=size), torch.arange(n))
