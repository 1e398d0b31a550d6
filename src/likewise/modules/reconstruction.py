"""How well a reconstruction explains its target."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TRIVIAL = 0.02  # share of the variance: a decoder that explains no more has learned little beyond the mean


def explained_variance(reconstruction: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """The share of the target's variance, around its mean over the batch, that is reconstructed: at most 1."""
    variance = (target - target.mean(0)).square().mean()
    return 1 - F.mse_loss(reconstruction.detach(), target) / variance.clamp_min(1e-12)
