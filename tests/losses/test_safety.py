"""Half precision, tiny temperatures and degenerate embeddings: every loss and gradient stays finite."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from cases import ALL, COSINE, Case
from torch import Tensor

from likewise import losses

DEGENERATE = {
    "random": lambda t: t,
    "identical": lambda t: torch.ones_like(t),
    "zero": lambda t: torch.zeros_like(t),
    "one zero row": lambda t: torch.cat([torch.zeros_like(t[:1]), t[1:]]),
    "large": lambda t: t * 1e4,
    "small": lambda t: t * 1e-6,
}


def finite(case: Case, tensors: list[Tensor]) -> None:
    leaves = [t.detach().requires_grad_() for t in tensors]
    value = case.loss(*leaves)
    gradients = [g for g in torch.autograd.grad(value, leaves, allow_unused=True) if g is not None]
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert gradients
    for gradient in gradients:
        assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", [c for c in ALL if c.name != "nce"], ids=str)
def test_finite(case: Case, dtype: torch.dtype, kind: str) -> None:
    count = len(case.shapes)
    tensors = case.tensors(dtype)
    finite(case, [*map(DEGENERATE[kind], tensors[:count]), *tensors[count:]])


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("temperature", [0.01, 0.001])
@pytest.mark.parametrize("case", [c for c in COSINE if not c.variant and c.temperature], ids=str)
@pytest.mark.usefixtures("tiling")
def test_finite_at_tiny_temperatures(case: Case, temperature: float, kind: str) -> None:
    case = dataclasses.replace(case, temperature=temperature)
    *embeddings, scale = case.tensors(torch.float32)
    finite(case, [*map(DEGENERATE[kind], embeddings), scale])


@pytest.mark.parametrize("scores", [0.0, 100.0, -100.0])
def test_nce_is_finite_for_any_density(scores: float) -> None:
    positive, negatives = torch.full((3,), scores), torch.full((3, 5), -scores)
    assert losses.nce(positive, negatives, log_noise=-10.0).isfinite()


@pytest.mark.parametrize("case", ALL, ids=str)
def test_autocast_and_half_precision_change_nothing_but_the_rounding_of_the_input(case: Case) -> None:
    half = [t.detach().bfloat16().requires_grad_() for t in case.tensors(torch.float32)]
    exact = [t.detach().float().requires_grad_() for t in half]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = case.loss(*half)
    wanted = case.loss(*exact)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, wanted, rtol=0, atol=0)
    gradients = torch.autograd.grad(value, half, allow_unused=True)
    for got, full in zip(gradients, torch.autograd.grad(wanted, exact, allow_unused=True), strict=True):
        assert (got is None) == (full is None)
        if got is not None and full is not None:
            assert got.dtype == torch.bfloat16
            torch.testing.assert_close(got.float(), full, rtol=1e-2, atol=1e-4)


def test_backward_under_autocast_is_exact_too() -> None:
    first, second = (t.detach().requires_grad_() for t in ALL[0].tensors(torch.float32)[:2])
    wanted = torch.autograd.grad(losses.nt_xent(first, second), first)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = torch.autograd.grad(losses.nt_xent(first, second), first)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_scaled_loss_scales_its_gradient(scale: float) -> None:
    first, second = (t.detach().requires_grad_() for t in ALL[0].tensors(torch.float32)[:2])
    loss = losses.nt_xent(first, second, temperature=0.02)
    plain = torch.autograd.grad(loss, first, retain_graph=True)[0]
    scaled = torch.autograd.grad(loss * scale, first)[0]
    torch.testing.assert_close(scaled / scale, plain, rtol=1e-5, atol=1e-7)


def test_nan_is_not_hidden() -> None:
    first, second = torch.ones(4, 3), torch.full((4, 3), float("nan"))
    assert losses.nt_xent(first, second).isnan()
    assert losses.pair_matching(first, second)["top1"] <= 1 / 7
