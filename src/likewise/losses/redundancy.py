"""Losses of dimensions: the views agree, and the dimensions are decorrelated."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.checks import check_non_negative
from likewise.losses.checks import check_embeddings
from likewise.losses.precision import full_precision


@full_precision
def barlow_twins(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], *, redundancy: float = 0.005
) -> Float[Tensor, ""]:
    """Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230): `Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij²`.

    C is the `(d, d)` correlation matrix between the dimensions of the two views over the batch. A dimension that is
    constant over the batch has correlation 0 with all others and gets no gradient of its own.

    Args:
        first: `(n, d)`, n >= 2.
        second: `(n, d)`.
        redundancy: λ >= 0.
    """
    check_embeddings({"first": first, "second": second}, minimum=2)
    check_non_negative(redundancy=redundancy)
    correlation = _standardized(first).T @ _standardized(second) / len(first)
    diagonal = correlation.diagonal()
    return ((1 - diagonal) ** 2).sum() + redundancy * ((correlation**2).sum() - (diagonal**2).sum())


@full_precision
def vicreg(
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Float[Tensor, ""]:
    """VICReg (Bardes et al. 2021, arXiv:2105.04906, algorithm 1).

    `λ s(Z, Z') + μ [v(Z) + v(Z')] + ν [c(Z) + c(Z')]`. s is the mean squared difference over samples and dimensions, `v
    = 1/d Σ_j max(0, 1 - √(Var(z_j) + 1e-4))` and `c = 1/d Σ_{i≠j} Cov(Z)_ij²`.

    Args:
        first: Z, `(n, d)`, n >= 2.
        second: Z', `(n, d)`.
        invariance: λ >= 0.
        variance: μ >= 0.
        covariance: ν >= 0.
    """
    check_embeddings({"first": first, "second": second}, minimum=2)
    check_non_negative(invariance=invariance, variance=variance, covariance=covariance)
    loss = invariance * ((first - second) ** 2).mean()
    for z in (first, second):
        centered = z - z.mean(0)
        cov = centered.T @ centered / (len(z) - 1)
        spread = (cov.diagonal() + 1e-4).sqrt()
        loss = loss + variance * (1 - spread).clamp(min=0).mean()
        loss = loss + covariance * ((cov**2).sum() - (cov.diagonal() ** 2).sum()) / z.shape[1]
    return loss


def _standardized(z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Columns with mean 0 and variance 1; a column that is constant up to rounding becomes zeros."""
    centered = z - z.mean(0)
    deviation = torch.linalg.vector_norm(centered, dim=0) / len(z) ** 0.5
    constant = deviation <= 8 * torch.finfo(z.dtype).eps * z.abs().amax(0)
    return (centered / deviation.masked_fill(constant, 1.0)).masked_fill(constant, 0.0)
