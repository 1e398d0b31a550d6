"""Cross-entropy over a vocabulary without holding the logits of all rows, for language models.

The logits of a batch of texts are by far its largest tensor: for 4,096 tokens and a vocabulary of 32,768, half a
gigabyte. They are computed for a stripe of rows at a time, together with the stripe's gradient while it is in cache:
three matrix products, where computing the logits twice would take four.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from likewise.losses.checks import check_like, check_shape

STRIPE_ELEMENTS = {"cpu": 2**20}
"""Logits of a stripe: what fits in a CPU's cache; elsewhere enough to keep the device busy."""
ELSEWHERE = 2**26


class TokenPrediction(NamedTuple):
    """How well tokens were predicted."""

    loss: Float[Tensor, ""]
    """Mean negative log-likelihood, in nats; 0 where there is no row."""
    losses: Float[Tensor, " m"]
    """Of each row, without gradient."""
    correct: Bool[Tensor, " m"]
    """Whether the target has the highest logit."""


class BagPrediction(NamedTuple):
    """How well the tokens of texts were predicted, whatever their order."""

    loss: Float[Tensor, ""]
    """Mean negative log-likelihood of the tokens, in nats; 0 where there is none."""
    likeliest: Int[Tensor, " n"]
    """The token with the highest logit, of each text."""


def token_cross_entropy(
    states: Float[Tensor, "m d"],
    weight: Float[Tensor, "v d"],
    targets: Int[Tensor, " m"],
    bias: Float[Tensor, " v"] | None = None,
) -> TokenPrediction:
    """Cross-entropy of the logits `states @ weight.T + bias`, in memory linear in m.

    Under autocast the matrix products are in its type, everything else in float32.

    Args:
        states: a feature for each token to be predicted.
        weight: a row for each token of the vocabulary, such as its embedding.
        targets: ids from 0 to below v.
        bias: for each token of the vocabulary.
    """
    check_shape(len(states), targets=targets)
    check_shape("v", states.shape[1], weight=weight)
    kind = states.device.type
    half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    with torch.autocast(kind, enabled=False):
        states = states.to(weight.dtype)
        check_like("weight", weight, states=states)
        return TokenPrediction(*_TokenCrossEntropy.apply(states, weight, bias, targets, half or weight.dtype))


def bag_cross_entropy(
    states: Float[Tensor, "n d"],
    weight: Float[Tensor, "v d"],
    ids: Int[Tensor, "n t"],
    counted: Bool[Tensor, "n t"],
    bias: Float[Tensor, " v"] | None = None,
) -> BagPrediction:
    """Cross-entropy of all tokens of a text under one distribution, whatever their order (arXiv:2401.11248).

        -1/m Σᵢ Σₜ log softmax(W hᵢ + b)[xᵢₜ], over the m tokens that are counted

    Args:
        states: h, one for each text.
        weight: W, a row for each token of the vocabulary.
        ids: x, the tokens of each text, from 0 to below v.
        counted: which of them are to be predicted.
        bias: b, for each token of the vocabulary.
    """
    check_shape(len(states), "t", ids=ids)
    check_shape(*ids.shape, counted=counted)
    check_shape("v", states.shape[1], weight=weight)
    scores = F.linear(states, weight, bias)
    likelihoods = scores.to(weight.dtype).log_softmax(1).gather(1, ids).masked_fill(~counted, 0)
    return BagPrediction(-likelihoods.sum() / counted.sum().clamp(min=1), scores.detach().argmax(1))


class _TokenCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, kind: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        wanted = ctx.needs_input_grad[:3]
        of_states = torch.empty_like(states) if wanted[0] else None
        of_weight = torch.zeros_like(weight) if wanted[1] else None
        of_bias = torch.zeros_like(bias) if bias is not None and wanted[2] else None
        losses, correct = states.new_empty(len(states)), targets.new_empty(len(states), dtype=torch.bool)
        words, share = weight.to(kind), 1 / max(1, len(states))
        step = max(1, STRIPE_ELEMENTS.get(states.device.type, ELSEWHERE) // len(weight))
        for start in range(0, len(states), step):
            rows = slice(start, start + step)
            some, target = states[rows].to(kind), targets[rows, None]
            scores = (some @ words.T).to(weight.dtype)
            if bias is not None:
                scores += bias
            top, best = scores.max(1, keepdim=True)
            own = scores.gather(1, target) - top
            total = scores.sub_(top).exp_().sum(1, keepdim=True)
            losses[rows] = (total.log() - own).squeeze(1)
            correct[rows] = (best == target).squeeze(1)
            if not any(wanted):
                continue
            slope = scores.div_(total)
            slope.scatter_add_(1, target, slope.new_full(target.shape, -1.0))
            if of_bias is not None:
                of_bias += slope.sum(0)
            slope = slope.to(kind)
            if of_states is not None:
                of_states[rows] = (slope @ words).to(states.dtype)
            if of_weight is not None:
                if kind == weight.dtype:
                    of_weight.addmm_(slope.T, some)
                else:
                    of_weight += slope.T @ some
        # The mean is taken here, not in the stripes: in float16 shares of a large batch would be zeros.
        ctx.save_for_backward(*(None if part is None else part.mul_(share) for part in (of_states, of_weight, of_bias)))
        ctx.mark_non_differentiable(losses, correct)
        return losses.sum() * share, losses, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        return (*(None if part is None else part * gradient for part in ctx.saved_tensors), None, None)
