"""LeJEPA's two terms: embeddings that are distributed as an isotropic Gaussian, and views near their centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from likewise.checks import check_int, check_positive, require
from likewise.losses.checks import check_embeddings, check_like, check_shape
from likewise.losses.precision import full_precision

STRIPE_ELEMENTS = 2**16
"""Projections that are held at once: of all samples, on some directions."""


@full_precision
def sigreg(
    embeddings: Float[Tensor, "n d"], directions: Float[Tensor, "d m"], *, knots: int = 17, limit: float = 5.0
) -> Float[Tensor, ""]:
    """Sketched isotropic Gaussian regularization (Balestriero & LeCun 2025, arXiv:2511.08544, algorithm 1).

    The mean over directions of the Epps-Pulley statistic of the projections, `n ∫ |φ(t) - exp(-t²/2)|² exp(-t²/2) dt`;
    φ is their empirical characteristic function. Samples of N(0, 1) have about 1.06, equal ones at 0 about 0.41 n. The
    integral from `-limit` to `limit` is taken by the trapezoidal rule. With several processes, pass gathered
    embeddings, and the same directions in each.

    Args:
        embeddings: of one view, neither centered nor normalized.
        directions: unit vectors, drawn anew at every step; see `random_directions`.
        knots: of the quadrature, an odd number of at least 3.
        limit: above 0.
    """
    check_embeddings({"embeddings": embeddings})
    check_shape(embeddings.shape[1], "m", directions=directions)
    check_like("embeddings", embeddings, directions=directions)
    require(knots >= 3 and knots % 2 == 1, "knots", "an odd number of at least 3", knots)
    check_positive(limit=limit)
    # The integrand is even: half of the knots have all of it.
    t = torch.linspace(0, limit, knots // 2 + 1, dtype=torch.float64)
    target = (-t.square() / 2).exp()
    width = torch.full_like(t, 2 * float(t[1]))
    width[-1] /= 2
    # At 0 both functions are 1.
    quadrature = list(zip(t.tolist(), target.tolist(), (width * target).tolist(), strict=True))[1:]
    return _SIGReg.apply(embeddings, directions, quadrature)


class _SIGReg(torch.autograd.Function):
    """Directions in stripes, knots one after the other, with the gradient in the same pass: memory is O(n d)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, directions: Tensor, quadrature: list[tuple[float, float, float]]) -> Tensor:
        gradient = torch.zeros_like(z) if ctx.needs_input_grad[0] else None
        total = z.new_zeros(())
        for some in directions.split(max(1, STRIPE_ELEMENTS // len(z)), dim=1):
            projections = z @ some
            slope = torch.zeros_like(projections)
            for t, target, weight in quadrature:
                angles = projections * t
                cosines, sines = angles.cos(), angles.sin()
                real, imaginary = cosines.mean(0), sines.mean(0)
                excess = real - target
                total += weight * len(z) * (excess.square() + imaginary.square()).sum()
                if gradient is not None:
                    slope += 2 * weight * t * (imaginary * cosines - excess * sines)
            if gradient is not None:
                gradient.addmm_(slope, some.T)
        count = directions.shape[1]
        ctx.save_for_backward(None if gradient is None else gradient.div_(count))
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, None, None]:
        (gradient,) = ctx.saved_tensors
        return None if gradient is None else gradient * upstream, None, None


def random_directions(dim: int, count: int, generator: torch.Generator) -> Float[Tensor, "dim count"]:
    """Random unit vectors, one a column, uniform on the sphere, in float64 on the CPU."""
    check_int(dim=dim, count=count)
    return F.normalize(torch.randn(dim, count, generator=generator, dtype=torch.float64), dim=0)


@full_precision
def center_prediction(views: Sequence[Float[Tensor, "n d"]], *, global_views: int = 2) -> Float[Tensor, ""]:
    """LeJEPA's prediction loss (arXiv:2511.08544, algorithm 2).

    The squared distance of every view's embedding to the mean of the global views' embeddings, averaged over views,
    samples and dimensions. The gradient reaches both.

    Args:
        views: embeddings of all views; first those of the global ones.
        global_views: how many these are, at least 1.
    """
    check_int(1, **{"len(views)": len(views)})
    check_embeddings({f"views[{i}]": view for i, view in enumerate(views)})
    check_int(1, len(views), global_views=global_views)
    z = torch.stack(list(views))
    return (z - z[:global_views].mean(0)).square().mean()
