from __future__ import annotations

import math

import naive
import pytest
import torch

from likewise.losses import nt_xent, pair_matching


def views(n: int, noise: float, d: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    first = torch.randn(n, d, generator=generator)
    return first, first + noise * torch.randn(n, d, generator=generator)


@pytest.mark.parametrize("noise", [0.1, 1.0, 10.0])
def test_ranks_and_cross_entropy(noise: float) -> None:
    first, second = views(12, noise)
    got = pair_matching(first, second, temperature=0.2)
    wanted = naive.pair_matching(first.double(), second.double(), temperature=0.2)
    assert {name: float(value) for name, value in got.items()} == pytest.approx(wanted, rel=1e-5)


def test_many_rows_and_no_gradient() -> None:
    first, second = (x.requires_grad_() for x in views(400, 0.5))
    got = pair_matching(first, second, temperature=0.1)
    torch.testing.assert_close(got["cross_entropy"], nt_xent(first, second, temperature=0.1).detach())
    assert 2 / 799 < got["top1"] < got["top5"] < 1
    assert not any(value.requires_grad for value in got.values())


def test_perfect_pairs() -> None:
    first = torch.eye(6)
    got = pair_matching(first, 2 * first, temperature=0.05)
    assert (got["top1"], got["top5"]) == (1, 1)
    assert got["cross_entropy"] < 1e-6


@pytest.mark.parametrize("temperature", [0.5, 0.01])
def test_a_collapsed_encoder_scores_chance(temperature: float) -> None:
    point = torch.randn(1, 64, generator=torch.Generator().manual_seed(0))
    got = pair_matching(point.repeat(50, 1), 3 * point.repeat(50, 1), temperature=temperature)
    assert got["top1"] == pytest.approx(1 / 99, rel=1e-4)
    assert got["top5"] == pytest.approx(5 / 99, rel=1e-4)
    assert got["cross_entropy"] == pytest.approx(math.log(99), rel=1e-4)
