from __future__ import annotations

import naive
import pytest
import torch

from likewise.losses import pair_matching


def views(n: int, noise: float, d: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    first = torch.randn(n, d, generator=generator)
    return first, first + noise * torch.randn(n, d, generator=generator)


@pytest.mark.parametrize("cross_modal", [False, True])
@pytest.mark.parametrize("noise", [0.1, 1.0, 10.0])
def test_ranks(noise: float, cross_modal: bool) -> None:
    first, second = views(12, noise)
    got = pair_matching(first, second, cross_modal=cross_modal)
    wanted = naive.pair_matching(first.double(), second.double(), cross_modal=cross_modal)
    assert {name: float(value) for name, value in got.items()} == pytest.approx(wanted, rel=1e-5)


def test_many_rows_and_no_gradient() -> None:
    first, second = (x.requires_grad_() for x in views(400, 0.5))
    got = pair_matching(first, second)
    assert 2 / 799 < got["top1"] < got["top5"] < 1
    assert not any(value.requires_grad for value in got.values())


def test_perfect_pairs() -> None:
    first = torch.eye(6)
    assert pair_matching(first, 2 * first) == {"top1": 1, "top5": 1}


@pytest.mark.parametrize(("cross_modal", "others"), [(False, 99), (True, 50)])
def test_a_collapsed_encoder_scores_chance(cross_modal: bool, others: int) -> None:
    point = torch.randn(1, 64, generator=torch.Generator().manual_seed(0))
    got = pair_matching(point.repeat(50, 1), 3 * point.repeat(50, 1), cross_modal=cross_modal)
    assert got["top1"] == pytest.approx(1 / others, rel=1e-4)
    assert got["top5"] == pytest.approx(5 / others, rel=1e-4)


def test_kinds_that_lie_apart_are_compared_across_only() -> None:
    """Halves of two kinds may each cluster together: what is nearest among all is then of one's own kind."""
    first, second = views(32, 0.1)
    apart = torch.cat([first, 20 * torch.ones(32, 1)], 1), torch.cat([second, -20 * torch.ones(32, 1)], 1)
    assert pair_matching(*apart)["top1"] == 0
    assert pair_matching(*apart, cross_modal=True)["top1"] > 0.25
