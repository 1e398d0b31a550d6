"""SigLIP: classify for any two halves of the batch whether they are a pair."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_finite, check_positive
from likewise.losses import siglip_loss
from likewise.methods.pair_base import PairMethod


class SigLIP(PairMethod):
    """Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training, arXiv:2303.15343.

    The loss is the binary cross-entropy of all pairs of halves: see `likewise.losses.siglip_loss`.

    Args:
        encoder: one with two towers, as `likewise.encoders.pair.PairEncoder`.
        scale: initial factor of the cosine similarities, above 0; it is learned.
        bias: initial bias of the logits; it is learned. At first it is so negative that no two halves are called a
            pair.

    Raises:
        UserError: for an encoder without two towers, or a number out of its range.
    """

    paper = "2303.15343"
    when_to_use = "like CLIP without a softmax over the batch: small batches, or captions shared by many samples"

    def __init__(self, encoder: nn.Module, *, scale: float = 10.0, bias: float = -10.0) -> None:
        super().__init__(encoder)
        check_positive(scale=scale)
        check_finite(bias=bias)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def objective(self, one: Any, other: Any) -> dict[str, Tensor]:
        z1, z2, scalars = self.gather_halves(*self.embed_halves(one, other))
        scale = self.log_scale.exp()
        loss = siglip_loss(z1, z2, scale=scale, bias=self.bias)
        return {"loss": loss, **scalars, "scale": scale.detach(), "bias": self.bias.detach()}

    def chance(self, batch_size: int) -> dict[str, float]:
        """The loss of embeddings that are all equal, with the best bias: one in `batch_size` is called a pair."""
        others = batch_size - 1
        return super().chance(batch_size) | {"loss": math.log(batch_size) + others * math.log(batch_size / others)}
