"""The loss of predicting tokens by their frequency alone: the baseline of a language model.

A language model learns the frequencies first; one that is stuck there has lowered its loss without using the context.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

TRIVIAL = 0.03  # the loss must be lower by this share: the running counts are a little worse than the true frequencies


class Frequencies(nn.Module):
    """Counts of the tokens so far as a predictive model; the initial counts are 1.

    With several processes each counts its own tokens.

    Args:
        vocab_size: number of tokens.
    """

    counts: Tensor

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.ones(vocab_size, dtype=torch.long))

    @torch.no_grad()
    def forward(self, targets: Int[Tensor, " m"]) -> Float[Tensor, ""]:
        """Mean negative log-likelihood of tokens under the counts before them; then counts them."""
        loss = self.counts.sum().log() - self.counts.log()[targets].sum() / max(1, len(targets))
        self.counts += targets.bincount(minlength=len(self.counts))
        return loss


def only_frequencies(figures: Mapping[str, float], what: str = "tokens", of: str = "the text") -> str | None:
    """A warning where the `loss` is no better than `by_frequency`, else None.

    Args:
        figures: what was logged.
        what: plural of what is predicted.
        of: what it is a part of.
    """
    if figures.get("loss", 0.0) < (1 - TRIVIAL) * figures.get("by_frequency", float("inf")):
        return None
    return f"{what} are predicted by their frequency alone, whatever {of}: try more --epochs or another --lr"
