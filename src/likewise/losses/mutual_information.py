"""Estimators of the mutual information between the parts of a sample and the whole (arXiv:1808.06670).

The score of a part and a whole is their dot product. Parts are `(n, m, d)`, m places of each of n samples, wholes `(n,
d)`: a whole is a positive of the parts of its own sample and a negative of all others. The losses are negated bounds: a
lower loss means more mutual information. As in `contrastive`, they raise `UserError` for tensors that do not match and
compute half precision in float32.

The scores of all wholes with all parts are n · n · m numbers. They are computed for a stripe of wholes at a time, and
again for the gradient: memory is linear in the number of parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus
from torch.utils.checkpoint import checkpoint

from likewise.checks import check_int, require
from likewise.losses import tiles
from likewise.losses.checks import check_like, check_shape, described
from likewise.losses.precision import full_precision


@full_precision
def jsd(parts: Float[Tensor, "n m d"], wholes: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The Jensen-Shannon estimator, in its softplus form (Hjelm et al. 2018, arXiv:1808.06670).

    Mean over samples i and places p of `sp(-x_ip · y_i)` plus mean over i, j ≠ i and p of `sp(x_jp · y_i)`, with `sp(s)
    = log(1 + e^s)`. Chance is 2 ln 2, whatever n; the lower bound is 0.

    Args:
        parts: x, of n >= 2 samples.
        wholes: y, of the same samples.
    """
    _check(parts, wholes)
    positive = _own_scores(parts, wholes)
    others = (len(parts) - 1) * parts.shape[1]
    negative = _over_others(lambda scores: softplus(scores).sum(1), parts, wholes)
    return softplus(-positive).mean() + negative.mean() / others


@full_precision
def info_nce_parts(parts: Float[Tensor, "n m d"], wholes: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """InfoNCE of parts and wholes (Hjelm et al. 2018, arXiv:1808.06670).

    Mean over samples i and places p of `-log( e^(x_ip · y_i) / (e^(x_ip · y_i) + Σ_{j≠i} Σ_q e^(x_jq · y_i)) )`: each
    part is contrasted with all parts of the other samples. Chance is `ln(1 + (n - 1) m)`.

    Args:
        parts: x, of n >= 2 samples.
        wholes: y, of the same samples.
    """
    _check(parts, wholes)
    negative = _over_others(lambda scores: scores.logsumexp(1), parts, wholes)
    return softplus(negative[:, None] - _own_scores(parts, wholes)).mean()


def _own_scores(parts: Float[Tensor, "n m d"], wholes: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
    return (parts @ wholes[:, :, None]).squeeze(2)


def _over_others(
    reduce: Callable[[Tensor], Tensor], parts: Float[Tensor, "n m d"], wholes: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """`reduce` of each whole's scores with all parts, a row `(n m)` that is -inf at the parts of its own sample."""
    n, m, _ = parts.shape
    keys = parts.flatten(0, 1)

    def stripe(rows: Tensor, wholes: Tensor, keys: Tensor) -> Tensor:
        scores = wholes @ keys.T
        scores.view(-1, n, m)[torch.arange(len(rows), device=rows.device), rows] = -math.inf
        return reduce(scores)

    rows = torch.arange(n, device=parts.device).split(max(1, tiles.STRIPE_ELEMENTS // (n * m)))
    return torch.cat([checkpoint(stripe, some, wholes[some], keys, use_reentrant=False) for some in rows])


def _check(parts: Tensor, wholes: Tensor) -> None:
    fits = parts.ndim == 3 and parts.is_floating_point()
    require(fits, "parts", "a floating-point tensor (n, m, d)", described(parts))
    n, m, d = parts.shape
    check_shape(n, d, wholes=wholes)
    check_like("parts", parts, wholes=wholes)
    check_int(2, **{"len(parts)": n})
    check_int(1, **{"parts.shape[1]": m})
