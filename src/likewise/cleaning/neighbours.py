"""Each sample's nearest neighbours among all embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.evaluation.knn import cosine_similarities, unit
from likewise.modules.kmeans import spherical_kmeans

NEAREST = 10
"""Neighbours that a sample's distance to the others is measured by."""
QUERIES = 1024
TILE = 2**26
"""Similarities in memory at a time: of many samples, fewer are compared with all others at once."""
MOST_COMPARED = 100_000
"""Samples that are compared with all others; of more, each is compared with those of the nearest partitions."""
PROBED = 16
"""Partitions, of √n, whose samples each sample is compared with."""
LEARNED_FROM = 64
"""Samples for each centroid of a partition."""
ITERATIONS = 8


class Neighbours(NamedTuple):
    """The `NEAREST` nearest neighbours of each sample, or as many as there are, the nearest first."""

    distances: Float[Tensor, "n k"]
    """Between embeddings of length 1: the root of 2 - 2·cosine, in [0, 2]."""
    positions: Int[Tensor, "n k"]


def neighbours(features: Float[Tensor, "n dim"], done: Callable[[int], None]) -> Neighbours:
    """Exact up to 100,000 samples; of more, those that lie in the `PROBED` partitions nearest to each sample.

    Memory is O(n) beside a quarter of a gigabyte. Time is O(n²) where all are compared, O(n·√n) where partitions are.

    Args:
        done: told how many samples are compared.
    """
    if len(features) > MOST_COMPARED:
        return _of_partitions(unit(features), done)
    k = min(NEAREST, len(features) - 1)
    similarities, positions = [], []
    for start, batch in cosine_similarities(features, features, min(QUERIES, max(1, TILE // len(features)))):
        batch.diagonal(start).fill_(-torch.inf)
        best = batch.topk(k)
        similarities.append(best.values)
        positions.append(best.indices)
        done(start + len(batch))
    return _measured(torch.cat(similarities), torch.cat(positions))


def _of_partitions(points: Float[Tensor, "n dim"], done: Callable[[int], None]) -> Neighbours:
    count, k = len(points), NEAREST
    partitions = round(math.sqrt(count))
    nearest = _nearest_partitions(points, partitions)
    similarities = torch.full((count, k), -torch.inf)
    positions = torch.zeros(count, k, dtype=torch.int64)
    askers = _groups(nearest, partitions)
    members = _groups(nearest[:, :1], partitions)
    compared = 0
    for asking, inside in zip(askers, members, strict=True):
        for queries in asking.split(max(1, TILE // max(1, len(inside)))):
            found = points[queries] @ points[inside].T
            found[queries[:, None] == inside] = -torch.inf
            # Fewer than k members give what they have; places of -inf lose against any other.
            best = found.topk(min(k, len(inside)))
            values = torch.cat([similarities[queries], best.values], 1).topk(k)
            places = torch.cat([positions[queries], inside[best.indices]], 1)
            similarities[queries], positions[queries] = values.values, places.gather(1, values.indices)
        compared += len(inside)
        done(compared)
    return _measured(similarities, positions)


def _nearest_partitions(points: Float[Tensor, "n dim"], partitions: int) -> Int[Tensor, "n probed"]:
    """The `PROBED` centroids that are nearest to each point, the nearest first."""
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(points), generator=generator)[: LEARNED_FROM * partitions]
    centroids, _ = spherical_kmeans(points[some.sort().values], partitions, generator=generator, iterations=ITERATIONS)
    tiles = points.split(max(1, TILE // partitions))
    return torch.cat([(part @ centroids.T).topk(PROBED).indices for part in tiles])


def _groups(numbers: Int[Tensor, "n m"], count: int) -> tuple[Int[Tensor, " _"], ...]:
    """For each number below `count`, the rows that have it."""
    order = numbers.flatten().argsort(stable=True)
    sizes = torch.bincount(numbers.flatten(), minlength=count)
    return (order // numbers.shape[1]).split(sizes.tolist())


def _measured(similarities: Float[Tensor, "n k"], positions: Int[Tensor, "n k"]) -> Neighbours:
    return Neighbours((2 - 2 * similarities).clamp_min(0).sqrt(), positions)
