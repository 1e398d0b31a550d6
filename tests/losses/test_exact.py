"""Value and gradient of every loss against the formula of its paper, in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from cases import ALL, Case
from torch import Tensor


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
def test_value_and_gradients_are_those_of_the_formula(
    case: Case, dtype: torch.dtype, tolerance: float
) -> None:
    tensors = case.tensors(dtype)
    exact = [t.detach().double().requires_grad_() for t in tensors]
    for got, wanted in zip(
        with_gradients(case.loss, tensors), with_gradients(case.formula, exact), strict=True
    ):
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
