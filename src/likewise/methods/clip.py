"""CLIP: find the other half of each pair among the halves of the batch, in both directions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from likewise.losses import clip_loss
from likewise.methods.pair_base import PairMethod
from likewise.modules.temperature import Temperature


class CLIP(PairMethod):
    """Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, arXiv:2103.00020.

    The loss is the InfoNCE of both directions: see `likewise.losses.clip_loss`.

    Args:
        encoder: one with two towers, as `likewise.encoders.pair.PairEncoder`.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`); the
            paper's is learned.

    Raises:
        UserError: for an encoder without two towers, or an impossible temperature.
    """

    paper = "2103.00020"
    when_to_use = "pairs, such as images and captions: search one by the other, classify without labels"

    def __init__(self, encoder: nn.Module, *, temperature: float | str = "learned:0.07") -> None:
        super().__init__(encoder)
        self.temperature = Temperature(temperature)

    def objective(self, one: Any, other: Any) -> dict[str, Tensor]:
        z1, z2, scalars = self.gather_halves(*self.embed_halves(one, other))
        temperature = self.temperature(self.progress)
        loss = clip_loss(z1, z2, temperature=temperature)
        return {"loss": loss, **scalars, "temperature": torch.as_tensor(temperature).detach()}

    def chance(self, batch_size: int) -> dict[str, float]:
        return super().chance(batch_size) | {"loss": math.log(batch_size)}
