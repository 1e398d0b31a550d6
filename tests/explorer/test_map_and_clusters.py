"""Where samples lie on the map, which clusters they form, and how these are called."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.explorer import plane as planes
from likewise.explorer.clusters import cluster, cluster_names, words_in, words_of_path
from likewise.explorer.plane import landmarks, plane


def groups(count: int, kinds: int = 4, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around a few directions, and which one each is around."""
    random = np.random.default_rng(0)
    kind = random.integers(kinds, size=count)
    return (4 * np.eye(kinds, dim)[kind] + random.normal(0, 0.3, (count, dim))).astype(np.float32), kind


def silent(done: int, total: int, doing: str) -> None:
    assert 0 <= done <= total


def test_samples_that_are_no_landmarks_lie_among_their_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "LANDMARKS", 120)
    features, kind = groups(600)
    found = plane(features, silent)
    assert found.shape == (600, 2)
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.ptp(found, axis=0).max() == pytest.approx(1)
    middles = np.stack([found[kind == i].mean(0) for i in range(4)])
    nearest = np.linalg.norm(found[:, None] - middles, axis=2).argmin(1)
    assert (nearest == kind).mean() > 0.98
    assert len(landmarks(600)) == 120
    np.testing.assert_array_equal(plane(features, silent), found)


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_few_or_equal_samples_have_places_too(count: int) -> None:
    random = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    for features in (random, np.ones((count, 4), np.float32), np.zeros((count, 4), np.float32)):
        found = plane(features, silent)
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert found.max() <= 1
        numbers = cluster(features)
        assert len(numbers) == count
        assert numbers.min() >= 0


def test_clusters_are_those_that_there_are_the_largest_first() -> None:
    features, kind = groups(200)
    numbers = cluster(features)
    # Ten clusters of four groups: none has samples of two groups.
    assert all(len(set(kind[numbers == i])) == 1 for i in set(numbers.tolist()))
    sizes = np.bincount(numbers)
    assert (np.diff(sizes) <= 0).all()
    np.testing.assert_array_equal(cluster(features), numbers)


def test_clusters_are_called_by_what_others_lack() -> None:
    texts = ["a red apple on the table", "one green apple on the table"] * 10 + ["the loud train on the track"] * 20
    clusters = np.repeat(np.array([0, 1], dtype=np.int32), 20)
    names = cluster_names(clusters, lambda place: words_in([texts[place]]))
    assert names[0].startswith("apple, table")
    assert set(names[1].split(", ")) == {"loud", "train", "track"}
    assert cluster_names(clusters, lambda place: {"same"}) == ["", ""]
    assert words_of_path("birds/7/IMG_great-tit.jpg") == {"birds", "7", "img", "great", "tit"}
