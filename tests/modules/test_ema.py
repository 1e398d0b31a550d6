"""A copy of modules that follows them slowly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from likewise.modules.ema import EMA, cosine_momentum
from likewise.seeding import generator_for


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=generator_for(seed))


def test_a_momentum_copy_is_an_exponential_average_of_the_weights() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    copies = EMA(first, second)
    was = [weight.clone() for weight in copies.parameters()]
    view = rows(5)
    torch.testing.assert_close(copies(view), second(first(view)))
    with torch.no_grad():
        for weight in [*first.parameters(), *second.parameters()]:
            weight += 1
    assert all(torch.equal(a, b) for a, b in zip(was, copies.parameters(), strict=True))
    copies.update(first, second, momentum=0.75)
    theirs = [*first.parameters(), *second.parameters()]
    for old, new, followed in zip(was, copies.parameters(), theirs, strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * followed)
    assert not copies(view).requires_grad
    assert not any(weight.requires_grad for weight in copies.parameters())


def test_a_momentum_of_1_stays_and_of_0_copies() -> None:
    layer = nn.Linear(3, 2)
    copies = EMA(layer)
    was = copies.copies[0].weight.clone()
    nn.init.ones_(layer.weight)
    copies.update(layer, momentum=1.0)
    assert torch.equal(copies.copies[0].weight, was)
    copies.update(layer, momentum=0.0)
    assert torch.equal(copies.copies[0].weight, layer.weight)


def test_a_momentum_copys_batch_norm_sees_its_own_batches() -> None:
    norm = nn.BatchNorm1d(3)
    copies = EMA(norm)
    copies(rows(8) + 5)
    assert copies.copies[0].running_mean.mean() > 0.2
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_cosine_momentum_goes_from_its_start_to_1_by_half_a_cosine() -> None:
    assert [cosine_momentum(0.9, progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert cosine_momentum(0.9, 0.25) == pytest.approx(1 - 0.1 * (math.cos(math.pi / 4) + 1) / 2)
