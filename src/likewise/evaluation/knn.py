"""Exact k-nearest-neighbour classification by cosine similarity, votes weighted as in arXiv:1805.01978."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.evaluation.features import rows

NEIGHBORS = (1, 3, 5, 10, 20)
TEMPERATURE = 0.07
LEAVE_ONE_OUT_QUERIES = 2000
"""`choose_k` leaves out at most this many samples, one after the other."""


def nearest_neighbors(
    queries: Float[Tensor, "n dim"],
    samples: Float[Tensor, "m dim"],
    k: int,
    *,
    exclude_self: bool = False,
    batch_size: int = 1024,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Cosine similarities and positions of the `k` samples most similar to each query, the nearest first.

    Memory is O(batch_size·m), never the whole similarity matrix. `exclude_self` leaves out the sample at the query's
    own position, for queries that are the first `n` samples.
    """
    similarities, positions = [], []
    for start, batch in cosine_similarities(queries, samples, batch_size):
        if exclude_self:
            batch.diagonal(start).fill_(-torch.inf)
        best = batch.topk(k)
        similarities.append(best.values)
        positions.append(best.indices)
    return torch.cat(similarities), torch.cat(positions)


def cosine_similarities(
    queries: Float[Tensor, "n dim"], samples: Float[Tensor, "m dim"], batch_size: int
) -> Iterator[tuple[int, Float[Tensor, "b m"]]]:
    """Pairs of (position of the first query, cosine similarities to all samples), `batch_size` queries at a time."""
    samples = unit(samples)
    for start in range(0, len(queries), batch_size):
        batch = unit(rows(queries, torch.arange(start, min(start + batch_size, len(queries)), device=queries.device)))
        yield start, (samples @ batch.to_dense().T).T if samples.is_sparse else batch @ samples.T


def unit(features: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
    """Rows scaled to length 1; rows of zeros stay."""
    if not features.is_sparse:
        return F.normalize(features, dim=1)
    lengths = features.square().sum(1).to_dense().sqrt().clamp_min(1e-12)
    where = features.indices()
    weights = features.values() / lengths[where[0]]
    return torch.sparse_coo_tensor(where, weights, features.shape, check_invariants=False, is_coalesced=True)


def vote(similarities: Float[Tensor, "n k"], neighbor_labels: Int[Tensor, "n k"], classes: int) -> Int[Tensor, " n"]:
    """The class with most votes, each neighbour's weighted by exp(similarity / 0.07)."""
    return votes(similarities, neighbor_labels, classes).argmax(1)


def votes(
    similarities: Float[Tensor, "n k"], neighbor_labels: Int[Tensor, "n k"], classes: int
) -> Float[Tensor, "n classes"]:
    """The votes for each class: the nearest neighbour has one, the others less."""
    weights = ((similarities - similarities[:, :1]) / TEMPERATURE).exp()
    return weights.new_zeros(len(weights), classes).scatter_add_(1, neighbor_labels, weights)


def choose_k(features: Float[Tensor, "n dim"], labels: Int[Tensor, " n"], classes: int) -> int:
    """The number of neighbours of best leave-one-out accuracy on these samples, among 1, 3, 5, 10 and 20.

    It is 1 when a class has a single label, which leave-one-out cannot classify. Ties go to the smaller number; the
    first `LEAVE_ONE_OUT_QUERIES` samples are the ones left out.
    """
    fewest = int(torch.bincount(labels, minlength=classes).min())
    candidates = [k for k in NEIGHBORS if k == 1 or k < len(labels)]
    if fewest < 2:
        return 1
    queries = rows(features, torch.arange(min(LEAVE_ONE_OUT_QUERIES, len(labels))))
    similarities, positions = nearest_neighbors(queries, features, candidates[-1], exclude_self=True)
    near = labels[positions]
    truth = labels[:LEAVE_ONE_OUT_QUERIES]
    right = [int((vote(similarities[:, :k], near[:, :k], classes) == truth).sum()) for k in candidates]
    return candidates[right.index(max(right))]


def knn_classify(
    queries: Float[Tensor, "n dim"],
    samples: Float[Tensor, "m dim"],
    labels: Int[Tensor, " m"],
    classes: int,
    *,
    k: int,
) -> Int[Tensor, " n"]:
    """Predicted class of each query."""
    similarities, positions = nearest_neighbors(queries, samples, k)
    return vote(similarities, labels[positions], classes)


def settings() -> dict[str, Any]:
    """How nearest neighbours are chosen and weighted: an entry of the result's "settings"."""
    return {"knn": {"similarity": "cosine", "neighbors": list(NEIGHBORS), "temperature": TEMPERATURE}}
