"""Value and gradient of every loss against the formula of its paper, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from cases import ALL, Case
from torch import Tensor

from likewise import losses


def with_gradients(function: Callable[..., Tensor], tensors: list[Tensor]) -> list[Tensor]:
    value = function(*tensors)
    gradients = torch.autograd.grad(value, tensors, allow_unused=True)
    return [
        value,
        *(torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)),
    ]


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.usefixtures("tiling")
def test_value_and_gradients_are_those_of_the_formula(case: Case, dtype: torch.dtype, tolerance: float) -> None:
    tensors = case.tensors(dtype)
    exact = [t.detach().double().requires_grad_() for t in tensors]
    for got, wanted in zip(with_gradients(case.loss, tensors), with_gradients(case.formula, exact), strict=True):
        assert got.dtype == dtype
        assert (got.double() - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.parametrize("case", ALL, ids=str)
@pytest.mark.usefixtures("tiling")
def test_gradcheck(case: Case) -> None:
    tensors = case.tensors(torch.float64)
    gradients = torch.autograd.grad(case.loss(*tensors), tensors, allow_unused=True)
    # Targets and teachers get no gradient: for the check they are constants.
    inputs = [t.detach() if g is None else t for t, g in zip(tensors, gradients, strict=True)]
    assert torch.autograd.gradcheck(case.loss, inputs)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_the_graph_can_be_used_twice(case: Case) -> None:
    tensors = case.tensors(torch.float64)
    value = case.loss(*tensors)
    once = torch.autograd.grad(value, tensors, retain_graph=True, allow_unused=True)
    again = torch.autograd.grad(3 * value, tensors, allow_unused=True)
    for a, b in zip(once, again, strict=True):
        assert (a is None and b is None) or torch.allclose(3 * a, b)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_without_gradients_the_value_is_the_same(case: Case) -> None:
    tensors = case.tensors(torch.float64)
    with torch.no_grad():
        value = case.loss(*tensors)
    assert not value.requires_grad
    torch.testing.assert_close(value, case.loss(*tensors).detach())


@pytest.mark.parametrize("temperature", [0.5, 0.01])
def test_tiles_of_the_size_in_use(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(2, 1100, 16, generator=generator)

    def symmetric(x: Tensor) -> Tensor:
        return losses.nt_xent(*x, temperature=temperature)

    def symmetric_matrix(x: Tensor) -> Tensor:
        z = torch.nn.functional.normalize(x.flatten(0, 1))
        similarity = (z @ z.T / temperature).masked_fill(torch.eye(2200, dtype=torch.bool), -torch.inf)
        return torch.nn.functional.cross_entropy(similarity, torch.arange(2200).roll(1100))

    def queries_and_keys(x: Tensor) -> Tensor:
        return losses.info_nce(*x, temperature=temperature)

    def matrix(x: Tensor) -> Tensor:
        q, k = torch.nn.functional.normalize(x, dim=2)
        return torch.nn.functional.cross_entropy(q @ k.T / temperature, torch.arange(1100))

    for loss, formula in [(symmetric, symmetric_matrix), (queries_and_keys, matrix)]:
        value, gradient = with_gradients(loss, [views.requires_grad_()])
        wanted, exact = with_gradients(formula, [views.detach().double().requires_grad_()])
        assert abs(value - wanted) <= 1e-5 * wanted
        assert (gradient - exact).norm() <= 1e-5 * exact.norm()
