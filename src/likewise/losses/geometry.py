"""The geometry of embeddings: length, alignment, uniformity, distance to the nearest, effective ranks and spread."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.checks import check_int, check_positive, require
from likewise.losses.checks import check_embeddings, described
from likewise.losses.precision import full_precision

STRIPE = 256  # rows whose similarities to all others are held at once


def unit(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows scaled to length 1; a row of zeros stays zero, with a finite gradient."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / length.masked_fill(length < 1e-12, 1.0)


@full_precision
def alignment(first: Float[Tensor, "n dim"], second: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """Mean squared distance of the two views of each sample on the unit sphere: 0 (equal) to 4 (opposite).

    Wang & Isola 2020, arXiv:2005.10242, with alpha = 2.
    """
    return (F.normalize(first, dim=1) - F.normalize(second, dim=1)).square().sum(1).mean()


@full_precision
def uniformity(embeddings: Float[Tensor, "n dim"], *, temperature: float = 2.0) -> Float[Tensor, ""]:
    """Log of the mean Gaussian potential of all pairs on the unit sphere: at most 0 (collapsed); lower is more uniform.

    Wang & Isola 2020, arXiv:2005.10242, with t = `temperature`. Memory is O(n²): pass at most a few thousand samples.
    """
    squared = torch.pdist(F.normalize(embeddings, dim=1)).square()
    return (-temperature * squared).exp().mean().log()


@full_precision
def koleo(embeddings: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The Kozachenko-Leonenko regularizer (Sablayrolles et al. 2018, arXiv:1806.03198; as in arXiv:2304.07193).

    The mean of `-log` of the distance of each sample to its nearest neighbour on the unit sphere: lower is more spread.
    With several processes, pass gathered embeddings.

    Args:
        embeddings: `(n, d)`, n >= 2.
    """
    check_embeddings({"embeddings": embeddings}, minimum=2)
    z = unit(embeddings)
    with torch.no_grad():
        nearest = torch.cat([_nearest_others(z, rows) for rows in torch.arange(len(z), device=z.device).split(STRIPE)])
    distances = torch.linalg.vector_norm(z - z[nearest], dim=1)
    return -(distances + 1e-8).log().mean()


def _nearest_others(z: Float[Tensor, "n d"], rows: Int[Tensor, " m"]) -> Int[Tensor, " m"]:
    similarities = z[rows] @ z.T
    similarities.scatter_(1, rows[:, None], -torch.inf)
    return similarities.argmax(1)


@full_precision
def effective_rank(embeddings: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """RankMe: exp of the entropy of the normalized singular values, from 1 to min(n, dim).

    Garrido et al. 2023, arXiv:2210.02885. The embeddings are neither centered nor normalized.
    """
    values = torch.linalg.svdvals(embeddings.double())
    return torch.special.entr(values / values.sum()).sum().exp().to(embeddings.dtype)


@full_precision
def lidar(embeddings: Float[Tensor, "n q d"], *, delta: float = 1e-4) -> Float[Tensor, ""]:
    """LiDAR: the effective rank of what tells samples apart, whatever their views, from 1 to min(n - 1, d).

    Thilak et al. 2023, arXiv:2312.04000: exp of the entropy of the normalized eigenvalues of `W^-1/2 B W^-1/2`. B is
    the covariance of the means of the samples, and W that of their views about these means, plus `delta` times the
    identity. 1 where the means do not differ by more than rounding.

    Args:
        embeddings: `(n, q, d)`: q >= 2 views of each of n >= 2 samples.
        delta: keeps W invertible; compared with the variance of the views.
    """
    is_stack = embeddings.ndim == 3 and embeddings.is_floating_point()
    require(is_stack, "embeddings", "floating-point (n, q, d)", described(embeddings))
    n, q, dim = embeddings.shape
    check_int(2, samples=n, views=q)
    check_positive(delta=delta)
    z = embeddings.double()
    means = z.mean(1)
    within = (z - means[:, None]).flatten(0, 1)
    between = means - means.mean(0)
    rounding = 16 * torch.finfo(embeddings.dtype).eps * z.abs().amax()
    between = torch.where(between.abs().amax() > rounding, between, 0.0)
    identity = torch.eye(dim, dtype=z.dtype, device=z.device)
    root = torch.linalg.cholesky(within.T @ within / (n * q) + delta * identity)
    # The eigenvalues that are not 0, by the singular values of the whitened means: never more than n, however large d.
    values = torch.linalg.svdvals(torch.linalg.solve_triangular(root, between.T, upper=False)).square()
    share = values / values.sum().clamp_min(torch.finfo(z.dtype).tiny)
    return torch.special.entr(share).sum().exp().to(embeddings.dtype)


@full_precision
def spread(embeddings: Float[Tensor, "n dim"]) -> Float[Tensor, " dim"]:
    """Standard deviation of each dimension on the unit sphere; near 1/√dim where none has collapsed."""
    return F.normalize(embeddings, dim=1).std(0)
