"""KL divergences of Gaussian posteriors from the prior N(0, I) (VAE, arXiv:1312.6114, appendix B)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def latent_kl(mean: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each latent, in nats."""
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def kl_from_prior(mean: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """KL divergence of each posterior from the prior N(0, I), in nats: the sum over its latents."""
    return latent_kl(mean, log_variance).sum(1)
