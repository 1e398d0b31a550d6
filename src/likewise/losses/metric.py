"""Losses of distances, for labelled pairs and triplets.

Distances are Euclidean, between the embeddings as given; normalize them first for the unit sphere.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.checks import check_choice, check_int, check_positive
from likewise.errors import UserError
from likewise.losses.checks import check_embeddings, check_labels
from likewise.losses.precision import full_precision
from likewise.losses.tiles import sum_by_stripes


@full_precision
def margin_contrastive(
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    dissimilar: Int[Tensor, " n"] | Bool[Tensor, " n"],
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Contrastive loss of Hadsell, Chopra and LeCun 2006.

    Mean over pairs of `(1 - Y) D²/2 + Y max(0, m - D)²/2`, D the distance of the pair.

    Args:
        first: `(n, d)`.
        second: `(n, d)`.
        dissimilar: Y, 0 for a positive pair and 1 for a negative one.
        margin: m > 0, the distance beyond which a negative pair has no loss.
    """
    check_embeddings({"first": first, "second": second})
    check_labels(first, dissimilar=dissimilar)
    check_positive(margin=margin)
    if ((dissimilar != 0) & (dissimilar != 1)).any():
        raise UserError(f"dissimilar must be 0 or 1 for each pair, got {dissimilar.unique().tolist()[:5]}")
    distance = torch.linalg.vector_norm(first - second, dim=1)
    pull, push = distance**2 / 2, (margin - distance).clamp(min=0) ** 2 / 2
    return torch.where(dissimilar.bool(), push, pull).mean()


@full_precision
def triplet(
    anchor: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    negative: Float[Tensor, "n d"],
    *,
    margin: float = 0.2,
) -> Float[Tensor, ""]:
    """Triplet loss: mean of `max(0, D(anchor, positive) - D(anchor, negative) + margin)`.

    Args:
        anchor: `(n, d)`.
        positive: `(n, d)`.
        negative: `(n, d)`.
        margin: > 0.
    """
    check_embeddings({"anchor": anchor, "positive": positive, "negative": negative})
    check_positive(margin=margin)
    near = torch.linalg.vector_norm(anchor - positive, dim=1)
    far = torch.linalg.vector_norm(anchor - negative, dim=1)
    return (near - far + margin).clamp(min=0).mean()


@full_precision
def mined_triplet(
    embeddings: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    *,
    margin: float = 0.2,
    mining: Literal["batch-hard", "semi-hard"] = "semi-hard",
) -> Float[Tensor, ""]:
    """Triplet loss over triplets mined from a labelled batch.

    `batch-hard` (Hermans et al. 2017, arXiv:1703.07737): each anchor with its farthest positive and its nearest
    negative. `semi-hard` (Schroff et al. 2015, arXiv:1503.03832): each anchor with each of its positives and the
    nearest negative that is farther than the positive; if there is none, the farthest negative.

    The mean is over these triplets; 0 when there are none. O(n) memory, by stripes of the distance matrix.

    Args:
        embeddings: `(n, d)`.
        labels: the class of each row, at least two classes.
        margin: > 0.
        mining: which triplets.
    """
    check_embeddings({"embeddings": embeddings}, minimum=2)
    check_labels(embeddings, labels=labels)
    check_positive(margin=margin)
    check_choice(("batch-hard", "semi-hard"), mining=mining)
    sizes = labels.unique(return_counts=True)[1]
    check_int(2, **{"classes in labels": len(sizes)})
    semi_hard = mining == "semi-hard"
    row = torch.arange(len(labels), device=labels.device)

    def loss(rows: slice, x: Tensor) -> Tensor:
        distance = torch.cdist(x[rows], x, compute_mode="donot_use_mm_for_euclid_dist")
        same = labels[rows, None] == labels
        positive = same & (row[rows, None] != row)
        if semi_hard:
            negatives = distance.masked_fill(same, math.inf).sort(1).values
            farther = torch.searchsorted(negatives.detach(), distance.detach(), right=True)
            last = (~same).sum(1, keepdim=True) - 1
            violation = distance - negatives.gather(1, farther.minimum(last)) + margin
            return violation[positive].clamp(min=0).sum()
        far = distance.masked_fill(~positive, -math.inf).amax(1)
        near = distance.masked_fill(same, math.inf).amin(1)
        return (far - near + margin)[positive.any(1)].clamp(min=0).sum()

    triplets = (sizes * (sizes - 1)).sum() if semi_hard else sizes[sizes > 1].sum()
    return sum_by_stripes(loss, embeddings, width=len(labels)) / triplets.clamp(min=1)
