"""The inner loop of meta-learning: an encoder and a head of zeros learn the classes of one episode.

    θ ← θ - lr ∇L(θ), for some steps (MAML, arXiv:1703.03400)

Weights are values, not state: the encoder keeps its own, and what is learned can be differentiated by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from likewise.checks import check_int, check_positive

Weights = dict[str, dict[str, Tensor]]
"""The parameters of `encoder` that are trained, by their names, and `weight` and `bias` of the linear `head`."""
MOST_STEPS = 1000


def check_inner_loop(*, inner_steps: int, inner_lr: float) -> None:
    """Raises `UserError` unless there may be an inner loop of so many steps at this learning rate."""
    check_int(1, MOST_STEPS, inner_steps=inner_steps)
    check_positive(inner_lr=inner_lr)


def initial_weights(encoder: nn.Module, way: int) -> Weights:
    """The encoder's weights, and a head of zeros for so many classes.

    Zeros (arXiv:2106.15367) are the same for any number of classes, and prefer none: the encoder is all that the outer
    loop learns, and all that has to be kept.
    """
    trained: dict[str, Tensor] = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    like = next(iter(trained.values()))
    dim: Any = encoder.dim
    return {"encoder": trained, "head": {"weight": like.new_zeros(way, dim), "bias": like.new_zeros(way)}}


def embed_with(encoder: nn.Module, weights: Weights, view: Any) -> Float[Tensor, "n dim"]:
    """The encoder's embeddings with these weights."""
    return functional_call(encoder, weights["encoder"], (view,))


def class_scores(weights: Weights, embeddings: Float[Tensor, "n dim"]) -> Float[Tensor, "n way"]:
    """The logits of the head."""
    return F.linear(embeddings, weights["head"]["weight"], weights["head"]["bias"])


def inner_loop(
    losses: Iterable[Callable[[Weights], Float[Tensor, ""]]], weights: Weights, *, lr: float, second_order: bool
) -> Iterator[Weights]:
    """The weights before the first step of gradient descent, and after each.

    Args:
        losses: of the weights, one for each step.
        weights: to begin with.
        lr: learning rate.
        second_order: whether the gradients are differentiated too, where the weights are; else they are constants
            (first-order MAML).
    """
    yield weights
    for loss in losses:
        with torch.set_grad_enabled(second_order and torch.is_grad_enabled()):
            slope = grad(loss)(weights)
        weights = tree_map(lambda weight, change: weight - lr * change, weights, slope)
        yield weights


@contextmanager
def batch_statistics(encoder: nn.Module) -> Iterator[None]:
    """BatchNorm normalizes by what it is given, the support or the query of one episode; running statistics rest."""
    layers = [layer for layer in encoder.modules() if isinstance(layer, _BatchNorm)]
    modes = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.training, layer.track_running_stats = mode
