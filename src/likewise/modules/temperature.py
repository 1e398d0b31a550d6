"""The temperature of a contrastive loss: fixed, learned, or scheduled."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from likewise.checks import require


class Temperature(nn.Module):
    """The divisor of similarities: fixed, learned, or scheduled.

    Args:
        value: a number above 0; `"learned"` or `"learned:START"`, a parameter with initial value 0.07 or START that
            never falls below 0.01 (as in CLIP, arXiv:2103.00020); or `"FIRST:LAST"`, a half-cosine schedule over the
            training.

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
        """The temperature at `progress`, in [0, 1]: a number, or a learned scalar."""
        if self.log is not None:
            with torch.no_grad():  # not its exponential: beyond the bound that has no gradient, and would never return
                self.log.clamp_(min=math.log(0.01))
            return self.log.exp()
        first, last = self.ends[0], self.ends[-1]
        return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
