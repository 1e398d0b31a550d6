"""Prediction along a sequence (CPC, arXiv:1807.03748): rows of patches down an image, or frames of a recording.

The context is a GRU, as in the paper's audio and text models. Its image model has a PixelCNN, which also sees the
columns on both sides; a GRU for each column sees only its own, but is causal without masks and serves every modality.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class SequencePrediction(nn.Module):
    """A causal context, and from it a linear prediction of each of the latents some steps ahead.

    Args:
        dim: length of a latent.
        context_dim: width of the GRU.
        steps: number of latents ahead that are predicted, each by a linear map of its own.
        skip: latents directly ahead that are not predicted, because they share input with the present one.
    """

    def __init__(self, dim: int, *, context_dim: int, steps: int, skip: int = 0) -> None:
        super().__init__()
        self.skip = skip
        self.context = nn.GRU(dim, context_dim, batch_first=True)
        self.predict = nn.ModuleList(nn.Linear(context_dim, dim, bias=False) for _ in range(steps))

    def forward(self, latents: Float[Tensor, "n t d"]) -> list[tuple[Float[Tensor, "n _ d"], Float[Tensor, "n _ d"]]]:
        """For each distance k the predictions `(n, t - k, d)` and their targets, the latents k ahead.

        Prediction i depends on the latents 0 to i; its target is latent i + k. There must be more than `steps + skip`
        latents.
        """
        contexts, _ = self.context(latents)
        ahead = enumerate(self.predict, start=self.skip + 1)
        return [(predict(contexts[:, :-k]), latents[:, k:]) for k, predict in ahead]
