"""The smallest encoder of pairs, its views and a batch, in float64 so that formulas can be compared exactly."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from likewise.data.batches import Parts
from likewise.encoders.pair import PairEncoder
from likewise.methods.base import Method
from likewise.methods.slip import SLIP
from likewise.views.pair import PairViews

PICTURE, WORDS, JOINT = 16, 5, 4


class Flat(nn.Module):
    """One linear layer and a bend; `(n, inputs)` -> `(n, dim)`."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.layer, self.dim = nn.Linear(inputs, dim), dim

    def forward(self, view: Tensor) -> Tensor:
        return torch.tanh(self.layer(view.flatten(1)))


class Shifted:
    """Views that move a sample as far as a random number says; that number differs between samples and views."""

    def __init__(self, by: float = 0.1) -> None:
        self.by = by

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + self.by * torch.randn(batch.shape, generator=generator, dtype=torch.float64)

    def clean(self, batch: Tensor) -> Tensor:
        return batch

    def weak(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.01 * self.by * torch.randn(batch.shape, generator=generator, dtype=torch.float64)


def pair_encoder(modalities: tuple[str, str] = ("image", "text")) -> PairEncoder:
    sizes = {"image": PICTURE, "text": WORDS}
    return PairEncoder([Flat(sizes[modality], 6) for modality in modalities], JOINT, modalities)


def built(cls: type[Method], modalities: tuple[str, str] = ("image", "text"), **options: Any) -> Any:
    """The method around tiny towers, with the same weights at every call, and with views."""
    torch.manual_seed(0)
    if cls is SLIP:
        options = {"hidden_dim": 16, "projection_dim": 8} | options
    method = cls(pair_encoder(modalities), **options).double()
    method.views = PairViews((Shifted(), Shifted()))
    return method


def samples(n: int = 6, modalities: tuple[str, str] = ("image", "text"), seed: int = 1) -> Parts:
    """The same at every call."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"image": (n, 1, 4, 4), "text": (n, WORDS)}
    return Parts(tuple(torch.randn(shapes[m], generator=generator, dtype=torch.float64) for m in modalities))


def cosines(one: Tensor, other: Tensor) -> list[list[Tensor]]:
    return [[(a @ b) / ((a @ a) * (b @ b)).sqrt() for b in other] for a in one]


def clip_formula(one: Tensor, other: Tensor, temperature: Any) -> Tensor:
    """Pair by pair, each way."""
    rows = [[c / temperature for c in row] for row in cosines(one, other)]
    terms = []
    for scores in (rows, [list(column) for column in zip(*rows, strict=True)]):
        for i, row in enumerate(scores):
            terms.append(-torch.log(row[i].exp() / sum(score.exp() for score in row)))
    return torch.stack(terms).mean()


def siglip_formula(one: Tensor, other: Tensor, scale: Any, bias: Any) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i, row in enumerate(cosines(one, other)):
        for j, cosine in enumerate(row):
            z = 1 if i == j else -1
            total = total + torch.log(1 + torch.exp(-z * (scale * cosine + bias)))
    return total / len(one)


def all_alike(method: Any) -> None:
    """Make one embedding of all samples."""
    for tower in method.encoder.towers:
        nn.init.zeros_(tower.encoder.layer.weight)
        nn.init.constant_(tower.encoder.layer.bias, 1.0)
        nn.init.constant_(tower.projection.weight, math.pi)
