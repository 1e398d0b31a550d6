"""k-means on the unit sphere, in memory that is linear in the points."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

TILE = 2**22  # similarities that are held at once


@torch.no_grad()
def spherical_kmeans(
    points: Float[Tensor, "n d"], clusters: int, *, generator: torch.Generator, iterations: int = 10
) -> tuple[Float[Tensor, "k d"], Int[Tensor, " n"]]:
    """Centroids, unit rows, and the cluster of each point: the centroid with the largest cosine.

    The initial centroids are random points. A cluster without points restarts at a point with a low cosine to its own
    centroid. The same points and generator give the same clusters.

    Args:
        points: unit rows, at least as many as clusters.
        clusters: number of centroids.
        generator: on the CPU.
        iterations: of Lloyd's algorithm.
    """
    with torch.autocast(points.device.type, enabled=False):
        centroids = points[torch.randperm(len(points), generator=generator)[:clusters].to(points.device)]
        for _ in range(iterations):
            cluster, cosine, sums = _assign(points, centroids)
            empty = torch.bincount(cluster, minlength=clusters) == 0
            sums[empty] = points[cosine.argsort(stable=True)[: int(empty.sum())]]
            centroids = F.normalize(sums, dim=1)
        return centroids, _assign(points, centroids)[0]


def _assign(
    points: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, "k d"]]:
    """The cluster of each point, its cosine with the centroid, and the sums of the points of each cluster."""
    clusters, cosines, sums = [], [], torch.zeros_like(centroids)
    for part in points.split(max(1, TILE // len(centroids))):
        cosine, cluster = (part @ centroids.T).max(1)
        # A matrix product: sums of scattered rows depend on the order in which a GPU's threads come.
        sums += F.one_hot(cluster, len(centroids)).to(part.dtype).T @ part
        clusters.append(cluster)
        cosines.append(cosine)
    return torch.cat(clusters), torch.cat(cosines), sums
