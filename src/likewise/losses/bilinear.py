"""InfoNCE with a bilinear similarity, whose matrix is learned (arXiv:1807.03748, arXiv:2004.04136)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from likewise.losses.checks import check_embeddings, check_like, check_shape
from likewise.losses.precision import full_precision
from likewise.losses.tiles import logsumexp_of_keys


@full_precision
def curl(queries: Float[Tensor, "n d"], keys: Float[Tensor, "n d"], weight: Float[Tensor, "d d"]) -> Float[Tensor, ""]:
    """The contrastive loss of CURL (Laskin et al. 2020, arXiv:2004.04136).

    Mean over queries i of `-log( exp(q_i W k_i) / Σ_j exp(q_i W k_j) )`. The embeddings are not normalized: W learns
    the scale. Of each row, the largest similarity is subtracted before the exponentials. Chance is `ln n`.

    Args:
        queries: q, embeddings of n >= 2 observations.
        keys: k, of another crop of them, by a momentum encoder; no gradient is needed.
        weight: W, learned.
    """
    check_embeddings({"queries": queries, "keys": keys}, minimum=2)
    d = queries.shape[1]
    check_shape(d, d, weight=weight)
    check_like("queries", queries, weight=weight)
    projected = queries @ weight
    return (logsumexp_of_keys(projected, keys) - (projected * keys).sum(1)).mean()
