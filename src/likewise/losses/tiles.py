"""Row-wise log-sum-exp of similarities, and its gradient, without ever holding the matrix.

Every contrastive loss is a mean over rows of `log Σ_j exp(x_i · y_j)` less a term that costs O(m d). The
matrix of similarities is visited in tiles that fit in cache, so memory is linear in the number of rows.

The work of forward and backward, with F = 2 m² d the flops of the whole matrix:

- A batch against itself is symmetric: a tile above the diagonal serves its rows and, transposed, its columns.
  The forward needs only the row sums r = Σ_j E_ij of E = exp(X Xᵀ): F/2. The gradient of Σ_i g_i log r_i is
  Σ_j E_ij (g_i/r_i + g_j/r_j) x_j: F/2 to recompute the upper tiles, F to multiply them to both sides. Total
  2 F. Accumulating U_i = Σ_j E_ij x_j with the row sums saves nothing: the other half, Σ_j E_ij x_j g_j/r_j,
  needs the finished r, so each tile would be multiplied to both sides twice: 3 F.
- Queries against keys: F for the sums, F to recompute, F for each side that wants a gradient.
- While all tiles fit in a fixed budget, the forward keeps them for the backward: a quarter of the work saved
  at ordinary batch sizes.

As long as exponents of ±2 max|x_i · y_j| are within the type's range, exp needs no row maximum and one exp
serves both directions of a symmetric tile. Beyond (in float32, a temperature below 0.023) a first pass finds
the maxima.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

KEPT_ELEMENTS = 2**23
"""Tiles are kept from forward to backward while together they hold no more than this: 32 MiB of float32."""

STRIPE_ELEMENTS = 2**22
"""A stripe of whole rows holds about this many similarities: 16 MiB of float32."""

LEAST_EXPONENT = -60.0
"""e^-60 is nothing beside a row's largest term, 1; exp and products are many times slower on what
underflows."""


def logsumexp_of_others(x: Float[Tensor, "m d"], *, period: int | None = None) -> Float[Tensor, " m"]:
    """`log Σ_j exp(x_i · x_j)` over the columns j that are not congruent to i modulo `period`.

    With the views of n samples stacked to m = n · views rows, `period=n` leaves out every view of the row's own sample;
    the default, m, leaves out the row itself only.
    """
    return _LogSumExp.apply(x, None, period or len(x))


def logsumexp_of_keys(queries: Float[Tensor, "n d"], keys: Float[Tensor, "m d"]) -> Float[Tensor, " n"]:
    """`log Σ_j exp(queries_i · keys_j)` over all keys."""
    return _LogSumExp.apply(queries, keys, None)


def sum_by_stripes(
    loss: Callable[[slice, Tensor], Tensor], x: Float[Tensor, "m d"], *, width: int
) -> Float[Tensor, ""]:
    """Sum of the scalars `loss(rows, x)` over stripes of rows, holding the graph of one stripe at a time.

    For losses that need whole rows of similarities (sorted, or their extremes). The gradient is taken in the
    forward pass; the backward only scales it.

    Args:
        width: similarities in a row; decides how many rows make a stripe.
    """
    return _SumByStripes.apply(loss, x, max(1, STRIPE_ELEMENTS // width))


def tile_side(device: torch.device) -> int:
    """1 MiB of float32 for every two threads of a CPU: in cache, and small where tiles on the diagonal are
    computed whole. 64 MiB elsewhere, where launches are what costs."""
    return 512 * max(1, math.isqrt(torch.get_num_threads() // 2)) if device.type == "cpu" else 4096


def tiles(rows: int, columns: int, side: int, *, upper: bool = False) -> Iterator[tuple[slice, slice]]:
    """Cuts a matrix into square tiles; `upper` leaves out those below the diagonal."""
    for i in range(0, rows, side):
        for j in range(i if upper else 0, columns, side):
            yield slice(i, min(i + side, rows)), slice(j, min(j + side, columns))


def fill_congruent(tile: Tensor, rows: slice, columns: slice, period: int, value: float) -> None:
    """Sets the entries of a tile whose row and column are congruent modulo `period`."""
    height, width = tile.shape
    first = 1 - height + (rows.start - columns.start + height - 1) % period
    for offset in range(first, width, period):
        tile.diagonal(offset).fill_(value)


class _LogSumExp(torch.autograd.Function):
    """Rows of `x` against `y`, or themselves when it is None; `period` as in `logsumexp_of_others`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None, period: int | None) -> Tensor:
        symmetric = y is None
        x = x.contiguous()
        y = x if y is None else y.contiguous()
        side = tile_side(x.device)
        scratch = _buffer(x, y, side)
        top = None if _is_bounded(x, y) else _row_maxima(x, y, side, period, symmetric, scratch)
        size = len(x) * len(y) // (2 if symmetric else 1)
        keep = top is None and any(ctx.needs_input_grad) and size <= KEPT_ELEMENTS
        kept: list[Tensor] = []

        sums = x.new_zeros(len(x))
        for i, j in tiles(len(x), len(y), side, upper=symmetric):
            mirrored = symmetric and i != j
            tile = _similarities(x, y, i, j, period, _buffer(x, y, side) if keep else scratch)
            if top is None:
                tile.exp_()
                sums[i] += tile.sum(1)
                if mirrored:
                    sums[j] += tile.sum(0)
            else:
                if mirrored:
                    sums[j] += _exp(tile - top[j]).sum(0)
                sums[i] += _exp(tile.sub_(top[i, None])).sum(1)
            if keep:
                kept.append(tile)
        result = sums.log_() if top is None else sums.log_().add_(top)

        ctx.save_for_backward(x, y, result)
        ctx.side, ctx.period, ctx.kept = side, period, kept
        ctx.symmetric, ctx.bounded = symmetric, top is None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, y, result = ctx.saved_tensors
        side, symmetric = ctx.side, ctx.symmetric
        scratch, product = _buffer(x, y, side), _buffer(x, y, side)
        # The largest weight is brought to 1, so that a small gradient cannot underflow beside exp(-result).
        scale = gradient.abs().amax().clamp_min(torch.finfo(x.dtype).tiny)
        weight = gradient / scale
        if ctx.bounded:
            weight = weight * result.neg().exp()
        of_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        of_y = of_x if symmetric else torch.zeros_like(y) if ctx.needs_input_grad[1] else None

        for index, (i, j) in enumerate(tiles(len(x), len(y), side, upper=symmetric)):
            if ctx.kept:
                tile = ctx.kept[index]
            else:
                tile = _similarities(x, y, i, j, ctx.period, scratch)
                if ctx.bounded:
                    tile.exp_()
            slope = product[: tile.numel()].view_as(tile)
            if not ctx.bounded:
                _exp(torch.sub(tile, result[i, None], out=slope)).mul_(weight[i, None])
                if symmetric:
                    slope += _exp(tile.sub_(result[j])).mul_(weight[j])
            elif symmetric:
                torch.add(weight[i, None], weight[j], out=slope).mul_(tile)
            else:
                torch.mul(tile, weight[i, None], out=slope)
            if of_x is not None:
                of_x[i].addmm_(slope, y[j])
            if of_y is not None and not (symmetric and i == j):
                of_y[j].addmm_(slope.T, x[i])

        if of_x is not None:
            of_x *= scale
        if symmetric:
            return of_x, None, None
        return of_x, of_y if of_y is None else of_y.mul_(scale), None


class _SumByStripes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Callable[[slice, Tensor], Tensor], x: Tensor, step: int) -> Tensor:
        leaf = x.detach().requires_grad_(ctx.needs_input_grad[1])
        total = x.new_zeros(())
        gradient = torch.zeros_like(x) if leaf.requires_grad else None
        with torch.set_grad_enabled(leaf.requires_grad):
            for start in range(0, len(x), step):
                part = loss(slice(start, min(start + step, len(x))), leaf)
                if gradient is not None:
                    gradient += torch.autograd.grad(part, leaf)[0]
                total += part.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        return None, ctx.saved_tensors[0] * gradient, None


def _buffer(x: Tensor, y: Tensor, side: int) -> Tensor:
    return x.new_empty(min(side, len(x)) * min(side, len(y)))


def _similarities(x: Tensor, y: Tensor, i: slice, j: slice, period: int | None, buffer: Tensor) -> Tensor:
    """One tile of x · yᵀ, in the buffer, with -inf at the entries that are left out."""
    height, width = i.stop - i.start, j.stop - j.start
    tile = torch.mm(x[i], y[j].T, out=buffer[: height * width].view(height, width))
    if period is not None:
        fill_congruent(tile, i, j, period, -math.inf)
    return tile


def _exp(exponents: Tensor) -> Tensor:
    return exponents.clamp_(min=LEAST_EXPONENT).exp_()


def _row_maxima(x: Tensor, y: Tensor, side: int, period: int | None, symmetric: bool, buffer: Tensor) -> Tensor:
    top = x.new_full((len(x),), -math.inf)
    for i, j in tiles(len(x), len(y), side, upper=symmetric):
        tile = _similarities(x, y, i, j, period, buffer)
        top[i] = torch.maximum(top[i], tile.amax(1))
        if symmetric and i != j:
            top[j] = torch.maximum(top[j], tile.amax(0))
    return top


def _is_bounded(x: Tensor, y: Tensor) -> bool:
    """Whether exp(x_i · y_j) over a row's sum stays within the type's range for any similarities."""
    largest = torch.linalg.vector_norm(x, dim=1).amax() * torch.linalg.vector_norm(y, dim=1).amax()
    return 2 * float(largest) < math.log(torch.finfo(x.dtype).max)
