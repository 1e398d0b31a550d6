from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.modules import kmeans
from likewise.modules.kmeans import spherical_kmeans
from likewise.seeding import generator_for


def blobs(samples: int = 60, spread: float = 0.6) -> Tensor:
    centers = torch.randn(4, 5, generator=generator_for(1), dtype=torch.float64)
    noise = torch.randn(samples, 5, generator=generator_for(2), dtype=torch.float64)
    return F.normalize(centers[torch.arange(samples) % 4] + spread * noise, dim=1)


def naive(points: Tensor, clusters: int, seed: int, iterations: int) -> tuple[Tensor, list[int]]:
    """One point and one centroid at a time."""
    centroids = [points[i] for i in torch.randperm(len(points), generator=generator_for(seed))[:clusters]]

    def nearest(point: Tensor) -> int:
        cosines = [float(point @ centroid) for centroid in centroids]
        return cosines.index(max(cosines))

    for _ in range(iterations):
        cluster = [nearest(point) for point in points]
        members = [[p for p, c in zip(points, cluster, strict=True) if c == k] for k in range(clusters)]
        assert all(members)
        sums = [torch.stack(some).sum(0) for some in members]
        centroids = [total / (total @ total).sqrt() for total in sums]
    return torch.stack(centroids), [nearest(point) for point in points]


@pytest.mark.parametrize("tile", [kmeans.TILE, 7 * 4])
@pytest.mark.parametrize("iterations", [0, 1, 10])
def test_it_is_lloyds_algorithm_on_the_sphere(tile: int, iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "TILE", tile)
    points = blobs()
    centroids, cluster = spherical_kmeans(points, 4, generator=generator_for(5), iterations=iterations)
    expected, members = naive(points, 4, 5, iterations)
    torch.testing.assert_close(centroids, expected, rtol=0, atol=1e-12)
    assert cluster.tolist() == members


def test_clusters_that_stand_apart_are_found() -> None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    points = blobs(400, spread=0.1)
    # Lloyd's algorithm finds them from beginnings in each, as theirs does from the best of several.
    seed = next(
        s for s in range(99) if len(set((torch.randperm(400, generator=generator_for(s))[:4] % 4).tolist())) == 4
    )
    _, cluster = spherical_kmeans(points, 4, generator=generator_for(seed))
    theirs = KMeans(4, n_init=5, random_state=0).fit_predict(points.numpy())
    assert adjusted_rand_score(theirs, cluster.numpy()) > 0.99


def test_an_empty_cluster_begins_anew_with_the_points_that_fit_worst() -> None:
    # All beginnings but one are copies of a point: ties go to one of them, and the others are left empty.
    far = F.normalize(torch.tensor([[1.0, 0.3], [1.0, -0.4], [-1.0, 0.1]]), dim=1)
    points = torch.cat([torch.tensor([[1.0, 0.0]]).expand(57, 2), far])
    seed = next(s for s in range(99) if torch.randperm(60, generator=generator_for(s))[:4].max() < 57)
    centroids, cluster = spherical_kmeans(points, 4, generator=generator_for(seed))
    assert torch.bincount(cluster, minlength=4).sort().values.tolist() == [1, 1, 1, 57]
    torch.testing.assert_close(centroids.norm(dim=1), torch.ones(4))
    again = spherical_kmeans(points, 4, generator=generator_for(seed))
    assert torch.equal(centroids, again[0])
    assert torch.equal(cluster, again[1])


def test_autocast_does_not_coarsen_clusters() -> None:
    points = blobs().float()
    plain, _ = spherical_kmeans(points, 4, generator=generator_for(5))
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = spherical_kmeans(points, 4, generator=generator_for(5))
    assert torch.equal(plain, cast)
