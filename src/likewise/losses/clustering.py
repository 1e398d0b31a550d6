"""Clustering losses: predict the prototype assignment of another view of the sample (SwAV)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.checks import check_int, check_positive
from likewise.losses.checks import check_embeddings
from likewise.losses.distillation import check_crops, cross_view_entropy
from likewise.losses.precision import full_precision


@torch.no_grad()
@full_precision
def sinkhorn(scores: Float[Tensor, "n k"], *, epsilon: float = 0.05, iterations: int = 3) -> Float[Tensor, "n k"]:
    """Soft assignments of samples to prototypes that use all prototypes about equally (SwAV, arXiv:2006.09882).

    Sinkhorn-Knopp on exp(scores/ε): prototypes and samples are normalized in turn, samples last, so that rows sum to 1.
    Computed in logarithms; no gradient.

    Args:
        scores: similarities of samples to k >= 2 prototypes. To balance over a queue or over processes, pass all rows
            and keep your own.
        epsilon: ε > 0; smaller is nearer to a hard assignment.
        iterations: >= 1.

    Returns:
        `(n, k)`, rows that sum to 1.
    """
    check_embeddings({"scores": scores})
    check_int(2, **{"scores.shape[1]": scores.shape[1]})
    check_positive(epsilon=epsilon)
    check_int(iterations=iterations)
    log_codes = scores / epsilon
    for _ in range(iterations):
        log_codes = log_codes.log_softmax(0)
        log_codes = log_codes.log_softmax(1)
    return log_codes.exp()


@full_precision
def swapped_prediction(
    scores: Sequence[Float[Tensor, "n k"]],
    codes: Sequence[Float[Tensor, "n k"]],
    *,
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """SwAV's loss (Caron et al. 2020, arXiv:2006.09882).

    Mean over samples and over pairs of a code q and the scores z of another view of `-Σ q log softmax(z/T)`.

    Args:
        scores: similarities of all views to k >= 2 prototypes; first those with codes, in the order of the codes.
        codes: assignments of the global views, rows that sum to 1, from `sinkhorn`.
        temperature: T > 0.
    """
    check_crops("scores", scores, "codes", codes)
    check_positive(temperature=temperature)
    return cross_view_entropy([z / temperature for z in scores], codes)
