from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.losses import vocabulary
from likewise.losses.vocabulary import token_cross_entropy


def inputs(rows: int = 37, *, bias: bool = True, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, 8), (50, 8), (50,)][: 2 + bias]
    numbers = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]
    states, weight, *rest = [number.requires_grad_() for number in numbers]
    return states, weight, torch.randint(50, (rows,), generator=generator), *rest


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stripe", [1, 500, 10**6])
def test_it_is_the_cross_entropy_and_its_gradients(bias: bool, stripe: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vocabulary.STRIPE_ELEMENTS, "cpu", stripe)
    states, weight, targets, *rest = inputs(bias=bias)
    scores = states @ weight.T + (rest[0] if bias else 0)
    expected = F.cross_entropy(scores, targets)
    leaves = [states, weight, *rest]
    gradients = torch.autograd.grad(3 * expected, leaves)
    named = token_cross_entropy(states, weight, targets, *rest)
    torch.testing.assert_close(named.loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(named.losses, F.cross_entropy(scores, targets, reduction="none"), rtol=1e-10, atol=1e-12)
    assert torch.equal(named.correct, scores.argmax(1) == targets)
    for ours, theirs in zip(torch.autograd.grad(3 * named.loss, leaves), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_scores_of_a_thousand_are_no_overflow() -> None:
    states, weight, targets, bias = inputs(dtype=torch.float32)
    named = token_cross_entropy(states * 1000, weight, targets, bias)
    expected = F.cross_entropy(states.double() * 1000 @ weight.double().T + bias.double(), targets)
    torch.testing.assert_close(named.loss.double(), expected, rtol=1e-5, atol=0)
    assert torch.autograd.grad(named.loss, states)[0].isfinite().all()


def test_only_what_is_trained_gets_a_gradient() -> None:
    states, weight, targets, bias = inputs()
    weight.requires_grad_(False)
    token_cross_entropy(states, weight, targets, bias).loss.backward()
    assert states.grad is not None
    assert bias.grad is not None
    assert weight.grad is None
    with torch.no_grad():
        assert token_cross_entropy(states, weight, targets, bias).loss.grad_fn is None


def test_no_row_is_no_loss() -> None:
    states, weight, targets, bias = inputs(rows=0)
    named = token_cross_entropy(states, weight, targets, bias)
    named.loss.backward()
    assert named.loss.item() == 0
    assert not weight.grad.any()


def test_bfloat16_products_have_a_float32_loss() -> None:
    states, weight, targets, bias = inputs(dtype=torch.float32)
    exact = token_cross_entropy(states, weight, targets, bias)
    gradient = torch.autograd.grad(exact.loss, weight)[0]
    with torch.autocast("cpu", torch.bfloat16):
        half = token_cross_entropy(states.bfloat16(), weight, targets, bias)
    assert half.loss.dtype == torch.float32
    torch.testing.assert_close(half.loss, exact.loss, rtol=0.01, atol=0)
    assert not torch.equal(half.losses, exact.losses)
    other = torch.autograd.grad(half.loss, weight)[0]
    assert other.dtype == torch.float32
    assert F.cosine_similarity(other.flatten(), gradient.flatten(), dim=0) > 0.999


@pytest.mark.usefixtures("unchecked_shapes")
def test_shapes_that_do_not_fit_are_told() -> None:
    states, weight, targets, _ = inputs()
    with pytest.raises(ValueError, match=r"targets must be of shape \(37,\), got \(36,\)"):
        token_cross_entropy(states, weight, targets[1:])
