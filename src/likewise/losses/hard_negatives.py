"""InfoNCE with a hard negative for each anchor (SimCSE, arXiv:2104.08821)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.losses.geometry import unit
from likewise.losses.precision import full_precision
from likewise.losses.tiles import logsumexp_of_keys


@full_precision
def info_nce_with_hard_negatives(
    anchors: Float[Tensor, "n d"],
    positives: Float[Tensor, "n d"],
    negatives: Float[Tensor, "n d"],
    *,
    temperature: float | Tensor,
    weight: float = 0.0,
) -> Float[Tensor, ""]:
    """InfoNCE over the positives and the hard negatives of all anchors (arXiv:2104.08821, equation 5).

    Mean over i of `-log( exp(s(a_i, p_i)/T) / Σ_j (exp(s(a_i, p_j)/T) + α_ij exp(s(a_i, h_j)/T)) )`, with s the cosine
    and α_ij = e^weight for j = i, else 1.

    Args:
        anchors: a.
        positives: p; row i belongs to anchor i.
        negatives: h; row i is the hard negative of anchor i, and a negative of all others.
        temperature: T > 0.
        weight: logarithm of the weight of an anchor's own hard negative.
    """
    a, p, h = unit(anchors) / temperature, unit(positives), unit(negatives)
    own = (a * h).sum(1)
    everything = torch.logaddexp(logsumexp_of_keys(a, p), logsumexp_of_keys(a, h))
    # One term of the sum, exp(own), is multiplied by e^weight: that is (e^weight - 1) of it more.
    weighted = everything + torch.log1p(math.expm1(weight) * (own - everything).exp())
    return (weighted - (a * p).sum(1)).mean()
