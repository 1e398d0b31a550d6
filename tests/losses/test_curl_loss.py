"""CURL's loss: the paper's formula row by row in float64, and what its pseudo-code does."""

from __future__ import annotations

import math

import pytest
import torch
from test_exact import with_gradients
from torch import Tensor

from likewise import losses

pytestmark = pytest.mark.usefixtures("unchecked_shapes")


def naive_curl(queries: Tensor, keys: Tensor, weight: Tensor) -> Tensor:
    """The paper's: of each row of similarities the largest is subtracted, then cross entropy with the own key."""
    terms = []
    for i, query in enumerate(queries):
        row = torch.stack([query @ weight @ key for key in keys])
        row = row - row.max()
        terms.append(-torch.log(row[i].exp() / row.exp().sum()))
    return torch.stack(terms).mean()


def tensors(dtype: torch.dtype, n: int = 7, d: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((n, d), (n, d), (d, d))
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.usefixtures("tiling")
def test_value_and_gradients_are_those_of_the_formula(dtype: torch.dtype, tolerance: float) -> None:
    given = tensors(dtype)
    exact = [t.detach().double().requires_grad_() for t in given]
    for got, wanted in zip(with_gradients(losses.curl, given), with_gradients(naive_curl, exact), strict=True):
        assert got.dtype == dtype
        assert (got.double() - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.usefixtures("tiling")
def test_gradcheck_of_curl() -> None:
    assert torch.autograd.gradcheck(losses.curl, tensors(torch.float64))


def test_similarities_that_no_exponential_holds() -> None:
    queries, keys, weight = (t.detach() for t in tensors(torch.float32))
    loss = losses.curl(100 * queries, 100 * keys, weight)
    assert math.isfinite(loss)
    logits = 1e4 * queries @ weight @ keys.T
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, torch.arange(7)))


def test_chance_is_the_logarithm_of_the_batch() -> None:
    queries, keys, weight = (t.detach() for t in tensors(torch.float64))
    assert losses.curl(queries, keys, 0 * weight).item() == pytest.approx(math.log(7))


def test_half_precision_is_computed_in_float32() -> None:
    queries, keys, weight = (t.detach() for t in tensors(torch.float32))
    loss = losses.curl(queries.bfloat16(), keys.bfloat16(), weight)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, losses.curl(queries.bfloat16().float(), keys.bfloat16().float(), weight))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (torch.ones(4, 3), torch.ones(4, 2), torch.eye(3)),
            r"^keys must be of shape \(4, 3\) as queries, got \(4, 2\)$",
        ),
        ((torch.ones(4, 3), torch.ones(4, 3), torch.eye(2)), r"^weight must be of shape \(3, 3\), got \(2, 2\)$"),
        ((torch.ones(1, 3), torch.ones(1, 3), torch.eye(3)), r"^len\(queries\) must be at least 2, got 1$"),
        (
            (torch.ones(4, 3), torch.ones(4, 3), torch.eye(3).double()),
            r"^weight must be torch.float32 as queries, got torch.float64$",
        ),
    ],
)
def test_what_does_not_match(arguments: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.curl(*arguments)
