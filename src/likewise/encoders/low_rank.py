"""LoRA: known weights stay as they are, and what is learned beside them has a low rank (arXiv:2106.09685)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from likewise.encoders.base import encoder_name
from likewise.errors import UserError


class LowRank(nn.Module):
    """Adds `B A` to a weight: of a linear layer, or of a convolution with the inputs of all its places in a row.

    A is drawn, and B is 0: at first nothing is added. The paper's factor alpha / rank is 1.

    Args:
        weight: `(outputs, inputs, …)`.
        rank: of what is added, at least 1.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, weight[0].numel()))
        self.up = nn.Parameter(torch.zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, "outputs inputs *places"]) -> Float[Tensor, "outputs inputs *places"]:
        return weight + (self.up @ self.down).view_as(weight)


def add_low_rank(encoder: nn.Module, rank: int) -> int:
    """Make an encoder learn with low rank only; returns how many of its layers do.

    Linear layers and convolutions get a `LowRank` each, if their weights have a higher rank and no groups; every other
    parameter is frozen. Draws from torch's global generator.

    Raises:
        UserError: where no layer has weights of a higher rank.
    """
    layers = [layer for layer in encoder.modules() if _takes(layer, rank)]
    if not layers:
        name = encoder_name(encoder)
        if not any(_takes(layer, 1) for layer in encoder.modules()):
            raise UserError(f"lora must be left out with {name}, no layer of which can learn with low rank, got {rank}")
        raise UserError(
            f"lora must be below the rank of the weights of a layer of {name}, got {rank}: take a lower one"
        )
    encoder.requires_grad_(False)
    for layer in layers:
        assert isinstance(layer.weight, Tensor)
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))
    return len(layers)


def merge_low_rank(encoder: nn.Module) -> nn.Module:
    """The encoder itself, with what it learned with low rank added to its weights; it is plain again.

    Parametrizations of its own, such as the weight norm of wav2vec 2.0, stay.
    """
    for layer in list(encoder.modules()):
        if parametrize.is_parametrized(layer, "weight") and _learns_low_rank(layer):
            assert isinstance(layer.weight, Tensor)
            weight = nn.Parameter(layer.weight.detach().clone())
            del layer.parametrizations
            # torch's own removal takes the weight away from the class, which copies of the layer share.
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            layer._parameters = {"weight": weight, **layer._parameters}
    return encoder


def _learns_low_rank(layer: nn.Module) -> bool:
    return any(isinstance(each, LowRank) for each in layer.parametrizations["weight"])  # type: ignore[index]


def _takes(layer: nn.Module, rank: int) -> bool:
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) or getattr(layer, "groups", 1) > 1:
        return False
    if parametrize.is_parametrized(layer):
        return False  # its weight is made of others, which stay what the file of an encoder holds
    return rank < min(len(layer.weight), layer.weight[0].numel())
