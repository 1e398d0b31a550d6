"""Sinkhorn's codes, DINO's centre, and where no gradient may flow."""

from __future__ import annotations

import naive
import torch

from likewise import losses


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_sinkhorn_is_the_listing_of_the_paper() -> None:
    scores = torch.tanh(random(12, 5))
    torch.testing.assert_close(losses.sinkhorn(scores), naive.sinkhorn(scores), rtol=1e-10, atol=1e-12)
    wanted = naive.sinkhorn(scores, epsilon=0.2, iterations=7)
    torch.testing.assert_close(losses.sinkhorn(scores, epsilon=0.2, iterations=7), wanted)


def test_sinkhorn_uses_all_prototypes_alike() -> None:
    scores = random(40, 4) + torch.tensor([3.0, 0, 0, 0])
    codes = losses.sinkhorn(scores, epsilon=0.5, iterations=50)
    torch.testing.assert_close(codes.sum(1), torch.ones(40, dtype=codes.dtype))
    torch.testing.assert_close(codes.sum(0), torch.full((4,), 10.0, dtype=codes.dtype), rtol=1e-3, atol=0)


def test_sinkhorn_survives_scores_beyond_the_range_of_exp() -> None:
    codes = losses.sinkhorn(1e3 * random(6, 3).float().requires_grad_(), epsilon=0.01)
    assert codes.isfinite().all()
    assert not codes.requires_grad
    torch.testing.assert_close(codes.sum(1), torch.ones(6))


def test_dino_center_follows_the_mean() -> None:
    teachers = [random(6, 3, seed=1), random(6, 3, seed=2)]
    center = random(3)
    wanted = 0.8 * center + 0.2 * torch.cat(teachers).mean(0)
    torch.testing.assert_close(losses.dino_center(center, teachers, momentum=0.8), wanted)


def test_no_gradient_reaches_targets_and_teachers() -> None:
    student, teacher = random(6, 3, seed=1).requires_grad_(), random(6, 3, seed=2).requires_grad_()
    losses.negative_cosine(student, teacher).backward()
    losses.dino([student, student], [teacher], center=torch.zeros(3, dtype=torch.float64)).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.any()


def test_byol_is_two_plus_twice_the_negative_cosine() -> None:
    p, z = random(6, 3, seed=1), random(6, 3, seed=2)
    unit = torch.nn.functional.normalize
    byol = (unit(p) - unit(z)).square().sum(1).mean()
    torch.testing.assert_close(2 + 2 * losses.negative_cosine(p, z), byol)


def test_barlow_ignores_scale_and_shift_of_a_dimension() -> None:
    first, second = random(9, 4, seed=1), random(9, 4, seed=2)
    wanted = losses.barlow_twins(first, second)
    torch.testing.assert_close(losses.barlow_twins(first * 5 + 3, second - 7), wanted)


def test_barlow_counts_a_constant_dimension_as_uncorrelated() -> None:
    first, second = random(9, 2, seed=1).float(), random(9, 2, seed=2).float()
    first[:, 1] = 0.1
    first.requires_grad_()
    loss = losses.barlow_twins(first, second, redundancy=0.0)
    correlation = torch.corrcoef(torch.stack([first[:, 0], second[:, 0]]))[0, 1]
    torch.testing.assert_close(loss, (1 - correlation) ** 2 + 1)
    gradient = torch.autograd.grad(loss, first)[0]
    assert not gradient[:, 1].any()
    assert gradient[:, 0].any()
