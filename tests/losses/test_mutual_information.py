"""The estimators of mutual information against their formulas, written pair by pair in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from likewise import losses
from likewise.losses import tiles

N, M, D = 5, 3, 4
ESTIMATORS = [losses.jsd, losses.info_nce_parts]


def tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (N, M, D), (N, D)
    parts, wholes = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return parts.to(dtype).requires_grad_(), wholes.to(dtype).requires_grad_()


def naive_jsd(parts: Tensor, wholes: Tensor) -> Tensor:
    own, others = [], []
    for i in range(N):
        for j in range(N):
            for p in range(M):
                score = parts[j, p] @ wholes[i]
                (own if i == j else others).append(torch.log(1 + torch.exp(-score if i == j else score)))
    return torch.stack(own).mean() + torch.stack(others).mean()


def naive_info_nce_parts(parts: Tensor, wholes: Tensor) -> Tensor:
    terms = []
    for i in range(N):
        others = sum(torch.exp(parts[j, p] @ wholes[i]) for j in range(N) if j != i for p in range(M))
        own = [torch.exp(parts[i, p] @ wholes[i]) for p in range(M)]
        terms += [-torch.log(e / (e + others)) for e in own]
    return torch.stack(terms).mean()


FORMULAS = [(losses.jsd, naive_jsd), (losses.info_nce_parts, naive_info_nce_parts)]


@pytest.fixture(params=["one stripe", "many stripes"])
def stripes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many stripes":
        monkeypatch.setattr(tiles, "STRIPE_ELEMENTS", 2 * N * M)


@pytest.mark.parametrize(("loss", "formula"), FORMULAS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.usefixtures("stripes")
def test_value_and_gradients_are_those_of_the_formula(
    loss: Callable[..., Tensor], formula: Callable[..., Tensor], dtype: torch.dtype, tolerance: float
) -> None:
    given = tensors(dtype)
    exact = tuple(t.detach().double().requires_grad_() for t in given)
    got, wanted = loss(*given), formula(*exact)
    pairs = zip(torch.autograd.grad(got, given), torch.autograd.grad(wanted, exact), strict=True)
    for a, b in [(got, wanted), *pairs]:
        assert a.dtype == dtype
        assert (a.double() - b).norm() <= tolerance * b.norm()


@pytest.mark.parametrize("loss", ESTIMATORS)
@pytest.mark.usefixtures("stripes")
def test_gradcheck(loss: Callable[..., Tensor]) -> None:
    assert torch.autograd.gradcheck(loss, tensors())


@pytest.mark.parametrize("loss", ESTIMATORS)
def test_half_precision_and_autocast_change_nothing_but_the_rounding_of_the_input(loss: Callable[..., Tensor]) -> None:
    half = tensors(torch.bfloat16)
    exact = tuple(t.detach().float().requires_grad_() for t in half)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*half)
        gradients = torch.autograd.grad(value, half)
    wanted = loss(*exact)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, wanted, rtol=0, atol=0)
    for got, full in zip(gradients, torch.autograd.grad(wanted, exact), strict=True):
        torch.testing.assert_close(got.float(), full, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e6])
@pytest.mark.parametrize("loss", ESTIMATORS)
def test_finite(loss: Callable[..., Tensor], scale: float) -> None:
    given = tuple((t * scale).detach().requires_grad_() for t in tensors(torch.float32))
    value = loss(*given)
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, given))


def test_scores_that_tell_nothing_give_chance() -> None:
    parts, wholes = torch.zeros(N, M, D), torch.ones(N, D)
    assert losses.jsd(parts, wholes).item() == pytest.approx(2 * math.log(2))
    assert losses.info_nce_parts(parts, wholes).item() == pytest.approx(math.log(1 + (N - 1) * M))


@pytest.mark.parametrize("loss", ESTIMATORS)
def test_memory_is_linear_in_the_number_of_parts(loss: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    n, m = 64, 8
    monkeypatch.setattr(tiles, "STRIPE_ELEMENTS", 4 * n * m)
    kept: list[int] = []
    parts, wholes = torch.randn(n, m, 2).requires_grad_(), torch.randn(n, 2).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        value = loss(parts, wholes)
    assert max(kept) < n * n * m / 8
    value.backward()
    assert parts.grad is not None
    assert parts.grad.any()


@pytest.mark.parametrize(
    ("parts", "wholes", "message"),
    [
        (
            torch.ones(4, 3),
            torch.ones(4, 3),
            "parts must be a floating-point tensor (n, m, d), got float32 of shape (4, 3)",
        ),
        (torch.ones(4, 2, 3).long(), torch.ones(4, 3), "parts must be a floating-point tensor (n, m, d), got int64"),
        (torch.ones(4, 2, 3), torch.ones(3, 3), "wholes must be of shape (4, 3), got (3, 3)"),
        (torch.ones(4, 2, 3), torch.ones(4, 3).double(), "wholes must be torch.float32 as parts, got torch.float64"),
        (torch.ones(1, 2, 3), torch.ones(1, 3), "len(parts) must be at least 2, got 1"),
        (torch.ones(4, 0, 3), torch.ones(4, 3), "parts.shape[1] must be at least 1, got 0"),
    ],
)
@pytest.mark.parametrize("loss", ESTIMATORS)
@pytest.mark.usefixtures("unchecked_shapes")
def test_mistakes(loss: Callable[..., Tensor], parts: Tensor, wholes: Tensor, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the line after reads the message
        loss(parts, wholes)
    assert str(caught.value).startswith(message)
