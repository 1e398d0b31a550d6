"""SIGReg: what it must be for known distributions, what must not change it, and impossible arguments."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise import losses
from likewise.errors import UserError
from likewise.seeding import generator_for

N, D = 400, 8
DIRECTIONS = losses.random_directions(D, 64, generator_for(0))


def normal(seed: int = 1, n: int = N) -> torch.Tensor:
    return torch.randn(n, D, generator=generator_for(seed), dtype=torch.float64)


def test_samples_of_the_gaussian_have_the_statistics_expectation() -> None:
    # E = the integral of (1 - exp(-t²)) exp(-t²/2) over the line.
    expected = math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))
    found = torch.stack([losses.sigreg(normal(seed), DIRECTIONS) for seed in range(30)]).mean()
    assert found.item() == pytest.approx(expected, rel=0.05)


def test_a_point_has_the_integral_that_is_known() -> None:
    expected = N * math.sqrt(2 * math.pi) * (1 - 2 / math.sqrt(2) + 1 / math.sqrt(3))
    found = losses.sigreg(torch.zeros(N, D, dtype=torch.float64), DIRECTIONS, knots=401, limit=9.0)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert losses.sigreg(torch.zeros(N, D, dtype=torch.float64), DIRECTIONS).item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    "change",
    [
        lambda z: 2 * z,
        lambda z: z / 2,
        lambda z: z + 1,
        lambda z: z[:, :1].expand(-1, D),
        lambda z: z.sign(),
        lambda z: torch.where(torch.arange(D) < 4, z, 0.0),
    ],
    ids=["wide", "narrow", "shifted", "one dimension", "corners", "half of the dimensions"],
)
def test_other_distributions_have_more(change: object) -> None:
    assert losses.sigreg(change(normal()), DIRECTIONS) > 2 * losses.sigreg(normal(), DIRECTIONS)  # type: ignore[operator]


def test_descent_makes_a_gaussian_of_a_line() -> None:
    z = (0.1 * normal()[:, :1] + 0.01 * normal(2)).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    for step in range(300):
        optimizer.zero_grad()
        losses.sigreg(z, losses.random_directions(D, 32, generator_for(step))).backward()
        optimizer.step()
    found = z.detach()
    torch.testing.assert_close(torch.cov(found.T), torch.eye(D, dtype=found.dtype), rtol=0, atol=0.25)
    assert found.mean(0).abs().max() < 0.2


@settings(max_examples=15, deadline=None, derandomize=True)
@given(n=st.integers(1, 12), d=st.integers(1, 6), m=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_order_sign_and_rotation_do_not_matter(n: int, d: int, m: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    directions = losses.random_directions(d, m, generator)
    value = losses.sigreg(z, directions)
    assert value >= 0
    rotation = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    order = torch.randperm(n, generator=generator)
    torch.testing.assert_close(losses.sigreg(z[order] @ rotation, rotation.T @ directions), value)
    torch.testing.assert_close(losses.sigreg(-z, directions), value)
    torch.testing.assert_close(losses.sigreg(z, directions.flip(1)), value)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(n=st.integers(1, 9), d=st.integers(1, 6), v=st.integers(2, 5), seed=st.integers(0, 2**31))
def test_the_prediction_knows_only_differences_of_a_samples_views(n: int, d: int, v: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(v, n, d, generator=generator, dtype=torch.float64)
    value = losses.center_prediction(list(views))
    moved = views + torch.randn(n, d, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(losses.center_prediction(list(moved)), value)
    swapped = [views[1], views[0], *views[2:].flip(0)]
    torch.testing.assert_close(losses.center_prediction(swapped), value)
    assert losses.center_prediction([views[0]] * v) < 1e-25


def test_directions_are_unit_vectors_and_a_function_of_the_generator() -> None:
    torch.testing.assert_close(DIRECTIONS.norm(dim=0), torch.ones(64, dtype=torch.float64))
    assert torch.equal(DIRECTIONS, losses.random_directions(D, 64, generator_for(0)))
    assert not torch.equal(DIRECTIONS, losses.random_directions(D, 64, generator_for(1)))
    assert DIRECTIONS.mean(1).abs().max() < 5 / math.sqrt(D * 64)


@pytest.mark.usefixtures("unchecked_shapes")
def test_mistakes_are_named() -> None:
    z, directions = normal(n=4), DIRECTIONS
    with pytest.raises(UserError, match=r"directions must be of shape \(8, m\), got \(7, 64\)"):
        losses.sigreg(z, directions[:7])
    with pytest.raises(UserError, match=r"directions must be torch.float64 as embeddings, got torch.float32"):
        losses.sigreg(z, directions.float())
    for knots in (1, 16):
        with pytest.raises(UserError, match=f"knots must be an odd number of at least 3, got {knots}"):
            losses.sigreg(z, directions, knots=knots)
    with pytest.raises(UserError, match="limit must be above 0, got 0"):
        losses.sigreg(z, directions, limit=0)
    with pytest.raises(UserError, match="global_views must be from 1 to 2, got 3"):
        losses.center_prediction([z, z], global_views=3)
    with pytest.raises(UserError, match=r"views\[1\] must be of shape \(4, 8\) as views\[0\], got \(3, 8\)"):
        losses.center_prediction([z, z[:3]])
    with pytest.raises(UserError, match="count must be at least 1, got 0"):
        losses.random_directions(3, 0, generator_for(0))
