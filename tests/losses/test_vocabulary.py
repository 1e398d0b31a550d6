from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.losses import vocabulary
from likewise.losses.vocabulary import bag_cross_entropy, token_cross_entropy


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


def bags(rows: int = 9, tokens: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Embeddings, weights, ids, which of them count, and a bias."""
    generator = torch.Generator().manual_seed(1)
    states, weight, bias = (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((rows, 8), (50, 8), (50,))
    )
    ids = torch.randint(50, (rows, tokens), generator=generator)
    return states, weight, ids, torch.rand(ids.shape, generator=generator) < 0.7, bias


def naive_bag(states: Tensor, weight: Tensor, ids: Tensor, counted: Tensor, bias: Tensor) -> Tensor:
    """Token by token, as it is written."""
    losses = []
    for state, text, counts in zip(states, ids, counted, strict=True):
        scores = weight @ state + bias
        losses += [scores.exp().sum().log() - scores[token] for token, is_in in zip(text, counts, strict=True) if is_in]
    return torch.stack(losses).mean()


def test_a_bag_is_predicted_token_by_token_and_its_gradients_are_exact() -> None:
    states, weight, ids, counted, bias = bags()
    prediction = bag_cross_entropy(states, weight, ids, counted, bias)
    torch.testing.assert_close(prediction.loss, naive_bag(states, weight, ids, counted, bias), rtol=1e-12, atol=0)
    assert torch.equal(prediction.likeliest, (states @ weight.T + bias).argmax(1))
    assert not prediction.likeliest.requires_grad
    assert torch.autograd.gradcheck(
        lambda *leaves: bag_cross_entropy(leaves[0], leaves[1], ids, counted, leaves[2]).loss, (states, weight, bias)
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_a_bag_has_no_order_and_tokens_that_do_not_count_may_be_any(seed: int) -> None:
    states, weight, ids, counted, bias = bags()
    generator = torch.Generator().manual_seed(seed)
    loss = bag_cross_entropy(states, weight, ids, counted, bias).loss
    order = torch.rand(ids.shape, generator=generator).argsort(1)
    mixed = bag_cross_entropy(states, weight, ids.gather(1, order), counted.gather(1, order), bias).loss
    torch.testing.assert_close(mixed, loss, rtol=1e-12, atol=0)
    other = torch.where(counted, ids, torch.randint(50, ids.shape, generator=generator))
    torch.testing.assert_close(bag_cross_entropy(states, weight, other, counted, bias).loss, loss, rtol=1e-12, atol=0)


def test_the_loss_of_a_bag_is_least_where_its_tokens_have_their_shares() -> None:
    """Of one text with a token twice and another once, nothing is below the entropy of these shares."""
    ids, counted = torch.tensor([[3, 3, 5]]), torch.ones(1, 3, dtype=torch.bool)
    scores = torch.full((50, 1), -60.0, dtype=torch.float64)
    scores[3], scores[5] = math.log(2 / 3), math.log(1 / 3)
    state = torch.ones(1, 1, dtype=torch.float64)
    least = bag_cross_entropy(state, scores, ids, counted).loss.item()
    assert least == pytest.approx(-(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3), rel=1e-9)
    scores[3] += 0.1
    assert bag_cross_entropy(state, scores, ids, counted).loss.item() > least


def test_texts_without_a_token_that_counts_are_no_loss() -> None:
    states, weight, ids, counted, bias = bags()
    prediction = bag_cross_entropy(states, weight, ids, torch.zeros_like(counted), bias)
    prediction.loss.backward()
    assert prediction.loss.item() == 0
    assert states.grad is not None
    assert not states.grad.any()


@pytest.mark.usefixtures("unchecked_shapes")
def test_bags_of_a_wrong_shape_are_named() -> None:
    states, weight, ids, counted, bias = bags()
    with pytest.raises(UserError, match=r"ids must be of shape \(9, t\)"):
        bag_cross_entropy(states, weight, ids[1:], counted[1:], bias)
    with pytest.raises(UserError, match=r"counted must be of shape \(9, 6\)"):
        bag_cross_entropy(states, weight, ids, counted[:, 1:], bias)
    with pytest.raises(UserError, match=r"weight must be of shape \(v, 8\)"):
        bag_cross_entropy(states, weight[:, 1:], ids, counted, bias)
