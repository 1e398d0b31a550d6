"""A momentum copy of modules: key encoder, target network or teacher."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn


class EMA(nn.Module):
    """An exponential moving average of modules that are applied one after the other.

    Its weights get no gradient; its BatchNorms see the batches that pass through it. Call `update` at the beginning of
    a step: it then follows the last step's change, and a checkpoint between two steps loses nothing.

    Args:
        modules: what is copied.
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copy.deepcopy(modules)).requires_grad_(False)

    @torch.no_grad()
    def update(self, *modules: nn.Module, momentum: float) -> None:
        """Each weight becomes `momentum` times itself plus (1 - `momentum`) times the module's weight."""
        mine: list[Tensor] = list(self.copies.parameters())
        theirs: list[Tensor] = [p for module in modules for p in module.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - momentum)

    @torch.no_grad()
    def forward(self, view: Any) -> Tensor:
        for module in self.copies:
            view = module(view)
        return view


def cosine_momentum(start: float, progress: float) -> float:
    """A momentum that rises from `start` to 1 by half a cosine, `progress` in [0, 1] (arXiv:2006.07733)."""
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


def warmed_up(start: float, end: float, *, step: int, steps: float) -> float:
    """A teacher's temperature that goes from `start` to `end` in a line within `steps` (arXiv:2104.14294)."""
    return end if step >= steps else start + (end - start) * step / steps
