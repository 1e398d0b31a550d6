"""How well tokens are named by how frequent they are: what a language model must beat before it has learned anything.

It is where every language model comes past, and where one that is stuck stays: the loss has fallen by nats, and the
text has not been looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

TRIVIAL = 0.03  # share of the frequencies' loss that must be saved: theirs are still counted, and so a little worse


class Frequencies(nn.Module):
    """Counts of the tokens so far, as a model that names tokens; each began with a count of 1.

    With several processes each counts its own.
    """

    counts: Tensor

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.ones(vocab_size, dtype=torch.long))

    @torch.no_grad()
    def forward(self, targets: Int[Tensor, " m"]) -> Float[Tensor, ""]:
        """Mean negative log-likelihood of tokens under the counts before them, which they are then added to."""
        loss = self.counts.sum().log() - self.counts.log()[targets].sum() / max(1, len(targets))
        self.counts += targets.bincount(minlength=len(self.counts))
        return loss


def only_frequencies(figures: Mapping[str, float]) -> str | None:
    """A caution where the `loss` is no better than `by_frequency`."""
    if figures.get("loss", 0.0) < (1 - TRIVIAL) * figures.get("by_frequency", float("inf")):
        return None
    return "tokens are named by how frequent they are, whatever the text: try more --epochs or another --lr"
