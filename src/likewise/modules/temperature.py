"""The temperature of a contrastive loss: fixed, learned, or following a schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from likewise.checks import require


class Temperature(nn.Module):
    """What similarities are divided by: fixed, learned, or following a schedule.

    Args:
        value: a number above 0; `"learned"` or `"learned:START"`, a parameter that begins at 0.07 or START and never
            falls below 0.01 (as in CLIP, arXiv:2103.00020); or `"FIRST:LAST"`, from the one to the other by half a
            cosine over the training.

    Raises:
        UserError: for anything else.
    """

    def __init__(self, value: float | str) -> None:
        super().__init__()
        words = str(value).split(":")
        learned = words[0] == "learned"
        try:
            ends = [float(word) for word in words[learned:]] or [0.07]
        except ValueError:
            ends = []
        possible = len(ends) in (1, 2 - learned) and all(0 < end < math.inf for end in ends)
        require(possible, "temperature", "a number above 0, FIRST:LAST, learned or learned:START", repr(value))
        self.ends = ends
        self.log: nn.Parameter | None = nn.Parameter(torch.tensor(math.log(ends[0]))) if learned else None

    def forward(self, progress: float) -> float | Tensor:
        """The temperature when `progress` of the training is done: a number, or a scalar that is learned."""
        if self.log is not None:
            with torch.no_grad():  # not its exponential: beyond the bound that has no gradient, and would never return
                self.log.clamp_(min=math.log(0.01))
            return self.log.exp()
        first, last = self.ends[0], self.ends[-1]
        return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
