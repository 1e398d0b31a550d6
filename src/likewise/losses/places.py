"""Losses of places: what lies in two views of a sample is matched, place by place.

As in `contrastive`, they raise `UserError` for tensors that do not match, and compute half precision in float32.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from likewise.checks import check_int, check_non_negative, check_positive, require
from likewise.losses import tiles
from likewise.losses.checks import check_like, check_shape, described
from likewise.losses.geometry import unit
from likewise.losses.precision import full_precision


@full_precision
def dense_info_nce(
    queries: Float[Tensor, "n m d"],
    keys: Float[Tensor, "n m d"],
    negatives: Float[Tensor, "k d"],
    *,
    temperature: float | Float[Tensor, ""] | Float[Tensor, "1"] = 0.2,
    others: Float[Tensor, "b d"] | None = None,
    own: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, ""]:
    """The dense contrastive loss of DenseCL (Wang et al. 2020, arXiv:2011.09157, equation 2).

    Mean over samples i and places p of `-log( exp(s(q_ip, k_ip)/T) / (exp(s(q_ip, k_ip)/T) + Σ_c exp(s(q_ip, c)/T)) )`
    over the negatives c, with cosines s.

    Args:
        queries: q.
        keys: k; each is the positive of the query in its place: of the place of the other view that matches it.
        negatives: c, for every query: the means over the places of other images.
        temperature: T > 0.
        others: such means of the images of the batch, negatives of the queries of all others but their own.
        own: which of `others` is that of each sample; None: row i is that of sample i.
    """
    _check_places(queries, keys)
    check_positive(temperature=temperature)
    n, m, d = queries.shape
    check_shape("k", d, negatives=negatives)
    check_like("queries", queries, negatives=negatives)
    check_int(1, **{"len(negatives)": len(negatives)})
    q, k = (unit(places.flatten(0, 1)) for places in (queries, keys))
    q = q / temperature
    positive = (q * k).sum(1)
    against = tiles.logsumexp_of_keys(q, unit(negatives))
    if others is not None and len(others) > 1:
        check_shape("b", d, others=others)
        check_like("queries", queries, others=others)
        own = torch.arange(n, device=q.device) if own is None else own
        of_batch = _over_other_samples(q.view(n, m, d), unit(others), own)
        against = torch.logaddexp(against, of_batch.flatten())
    return (torch.logaddexp(positive, against) - positive).mean()


def _over_other_samples(
    q: Float[Tensor, "n m d"], others: Float[Tensor, "b d"], own: Int[Tensor, " n"]
) -> Float[Tensor, "n m"]:
    """`log Σ_j exp(q_ip · others_j)` over all j but the sample's own."""

    def stripe(q: Tensor, others: Tensor, own: Tensor) -> Tensor:
        scores = q @ others.T
        is_own = torch.arange(len(others), device=q.device) == own[:, None, None]
        return scores.masked_fill(is_own, -math.inf).logsumexp(2)

    each = max(1, tiles.STRIPE_ELEMENTS // (q.shape[1] * len(others)))
    parts = zip(q.split(each), own.split(each), strict=True)
    return torch.cat([checkpoint(stripe, some, others, whose, use_reentrant=False) for some, whose in parts])


@full_precision
def vicreg_places(
    first: Float[Tensor, "n m d"],
    second: Float[Tensor, "n m d"],
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Float[Tensor, ""]:
    """VICReg of pairs of places, as in VICRegL (Bardes et al. 2022, arXiv:2210.01571): the mean over the m pairs.

    Each pair of places has the loss `likewise.losses.vicreg` over the samples: variances and covariances are those of
    one place over the batch.

    Args:
        first: of n >= 2 samples.
        second: row by row the places that these are paired with.
        invariance: λ >= 0.
        variance: μ >= 0.
        covariance: ν >= 0.
    """
    _check_places(first, second, names=("first", "second"))
    check_int(2, **{"len(first)": len(first)})
    check_non_negative(invariance=invariance, variance=variance, covariance=covariance)
    loss = invariance * (first - second).square().mean()
    for z in (first, second):
        centered = (z - z.mean(0)).transpose(0, 1)
        cov = centered.transpose(1, 2) @ centered / (len(z) - 1)
        own = cov.diagonal(dim1=1, dim2=2)
        loss = loss + variance * (1 - (own + 1e-4).sqrt()).clamp(min=0).mean()
        between = cov.square().sum() - own.square().sum()
        loss = loss + covariance * between / (z.shape[1] * z.shape[2])
    return loss


def _check_places(first: Tensor, second: Tensor, names: tuple[str, str] = ("queries", "keys")) -> None:
    one, other = names
    fits = first.ndim == 3 and first.is_floating_point()
    require(fits, one, "a floating-point tensor (n, m, d)", described(first))
    check_int(1, **{f"{one}.numel()": first.numel()})
    check_shape(*first.shape, **{other: second})
    check_like(one, first, **{other: second})
