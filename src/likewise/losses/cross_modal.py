"""Losses of pairs across modalities: each half identifies the other among the halves of other samples.

Unlike the losses of two views (see `contrastive`), a half is compared only with halves of the other kind. Similarities
are cosines; half precision and memory are as there.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from likewise.checks import check_finite, check_positive
from likewise.losses import tiles
from likewise.losses.checks import check_embeddings
from likewise.losses.contrastive import info_nce
from likewise.losses.geometry import unit
from likewise.losses.precision import full_precision

Number = float | Float[Tensor, ""] | Float[Tensor, "1"]


@full_precision
def clip_loss(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], *, temperature: Number = 0.07
) -> Float[Tensor, ""]:
    """The loss of CLIP (Radford et al. 2021, arXiv:2103.00020): InfoNCE in both directions.

    Mean over the n pairs of `-1/2 log( exp(s(a_i, b_i)/T) / Σ_j exp(s(a_i, b_j)/T) )` and the same of `b_i` over all
    `a_j`. Chance is ln n.

    Args:
        first: a, halves of n >= 2 pairs.
        second: b, the other halves.
        temperature: T > 0, the inverse of CLIP's scale; to be learned, a tensor with one element.
    """
    check_embeddings({"first": first, "second": second}, minimum=2)
    there, back = info_nce(first, second, temperature=temperature), info_nce(second, first, temperature=temperature)
    return (there + back) / 2


@full_precision
def siglip_loss(
    first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], *, scale: Number = 10.0, bias: Number = -10.0
) -> Float[Tensor, ""]:
    """The loss of SigLIP (Zhai et al. 2023, arXiv:2303.15343): binary cross-entropy of all n² combinations of halves.

    `-1/n Σ_i Σ_j log sigmoid( z_ij (t s(a_i, b_j) + b) )`, with `z_ij` 1 for a pair (i = j) and -1 for all others.

    Args:
        first: a, halves of n >= 1 pairs.
        second: b, the other halves.
        scale: t > 0; to be learned, a tensor with one element.
        bias: b; to be learned, a tensor with one element.
    """
    check_embeddings({"first": first, "second": second})
    check_positive(scale=scale)
    check_finite(bias=bias)
    t, b = (torch.as_tensor(number, dtype=first.dtype, device=first.device) for number in (scale, bias))
    return _SigmoidOfPairs.apply(unit(first) * t, unit(second), b.reshape(())) / len(first)


class _SigmoidOfPairs(torch.autograd.Function):
    """`-Σ_ij log sigmoid(±(x_i · y_j + bias))`, + where i = j, tile by tile.

    The gradient is taken in the forward pass, where every tile is at hand; the backward only scales it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
        wanted = ctx.needs_input_grad
        total, of_bias = x.new_zeros(()), x.new_zeros(())
        of_x, of_y = (torch.zeros_like(z) if want else None for z, want in zip((x, y), wanted, strict=False))
        for i, j in tiles.tiles(len(x), len(y), tiles.tile_side(x.device)):
            against = torch.addmm(bias, x[i], y[j].T)  # the evidence against what is true
            if i == j:
                against.diagonal().neg_()
            total -= torch.nn.functional.logsigmoid(-against).sum()
            if not any(wanted):
                continue
            slope = against.sigmoid_()
            if i == j:
                slope.diagonal().neg_()
            of_bias += slope.sum()
            if of_x is not None:
                of_x[i].addmm_(slope, y[j])
            if of_y is not None:
                of_y[j].addmm_(slope.T, x[i])
        ctx.save_for_backward(of_x, of_y, of_bias if wanted[2] else None)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if saved is None else saved * gradient for saved in ctx.saved_tensors)
