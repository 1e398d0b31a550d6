"""Which samples to label next: typical ones while labels are few, then those that a head is unsure of.

Typical: TypiClust (Hacohen et al. 2022, arXiv:2202.02794). Samples are clustered, into as many clusters as there will
be labels; of the largest clusters without a label, the sample in the densest place is taken.

Uncertain and diverse: Zhdanov 2019, arXiv:1901.05954. Of the samples that a head is least sure of, clusters weighted by
its doubt give one sample each.
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

MOST_CLUSTERS = 500
FEWEST_MEMBERS = 5
"""Clusters with fewer samples are taken last: they are outliers."""
NEIGHBOURS = 20
"""Whose mean distance says how typical a sample is."""
MOST_MEMBERS = 5000
"""Of a cluster: of a larger one, those nearest to its centre are compared."""
EXACT = 20_000
"""Up to so many samples, all take part in each step of k-means."""
CANDIDATES = 10
"""Times as many unsure samples as are wanted take part in the choice of diverse ones."""


def normalized(features: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    """Each row at length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def typical_samples(
    features: Float[np.ndarray, "n dim"], labelled: Bool[np.ndarray, " n"], budget: int, seed: int
) -> Int[np.ndarray, " budget"]:
    """Places of typical samples without a label, far from each other and from those with one, the most useful first.

    Args:
        features: of all samples, those with a label too.
        labelled: which have a label.
        budget: how many places, at most as many as samples have no label.
        seed: of the clustering.
    """
    points = normalized(features)
    clusters = min(int(labelled.sum()) + budget, MOST_CLUSTERS, len(points))
    member = _clusters(points, clusters, seed)
    taken = labelled.copy()
    sizes = np.bincount(member, minlength=clusters)
    has_label = np.bincount(member[labelled], minlength=clusters)
    found: list[int] = []
    while len(found) < budget:
        left = np.bincount(member[~taken], minlength=clusters)
        small = sizes < FEWEST_MEMBERS
        # Fewest labels first, large before small, outliers last; full clusters not at all.
        order = np.lexsort((-sizes, has_label, small, left == 0))
        cluster = int(order[0])
        place = _most_typical(points, ((member == cluster) & ~taken).nonzero()[0], (member == cluster).nonzero()[0])
        taken[place] = True
        has_label[cluster] += 1
        found.append(place)
    return np.array(found, dtype=np.int64)


def uncertain_samples(
    features: Float[np.ndarray, "n dim"],
    doubt: Float[np.ndarray, " n"],
    labelled: Bool[np.ndarray, " n"],
    budget: int,
    seed: int,
) -> Int[np.ndarray, " budget"]:
    """Places of samples without a label that a head is unsure of, unlike each other, the least sure first.

    Args:
        features: of all samples.
        doubt: of the head, 0 or more, larger where it is less sure.
        labelled: which have a label.
        budget: how many places, at most as many as samples have no label.
        seed: of the clustering.
    """
    free = (~labelled).nonzero()[0]
    candidates = free[np.argsort(-doubt[free], kind="stable")][: CANDIDATES * budget]
    if len(candidates) <= budget:
        return candidates
    points, weights = normalized(features[candidates]), np.maximum(doubt[candidates], 1e-6)
    solved = _solved(points, budget, seed, weights)
    distances = np.linalg.norm(points - solved.cluster_centers_[solved.labels_], axis=1)
    nearest = [
        int(members[np.argmin(distances[members])])
        for cluster in range(budget)
        if len(members := (solved.labels_ == cluster).nonzero()[0])
    ]
    chosen = set(nearest)
    rest = [i for i in range(len(candidates)) if i not in chosen]  # in the place of empty clusters
    places = candidates[[*nearest, *rest[: budget - len(nearest)]]]
    return places[np.argsort(-doubt[places], kind="stable")]


def margin_doubt(probability: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, " n"]:
    """1 − how far the most probable class is ahead of the second, in [0, 1]."""
    second, first = np.partition(probability, -2, axis=1)[:, -2:].T
    return 1 - (first - second)


def _clusters(points: Float[np.ndarray, "n dim"], count: int, seed: int) -> Int[np.ndarray, " n"]:
    return _solved(points, count, seed).labels_.astype(np.int64)


def _solved(
    points: Float[np.ndarray, "n dim"], count: int, seed: int, weights: Float[np.ndarray, " n"] | None = None
) -> KMeans | MiniBatchKMeans:
    state = seed % 2**32  # that scikit-learn takes
    if len(points) > EXACT:
        solver: KMeans | MiniBatchKMeans = MiniBatchKMeans(count, random_state=state, n_init=1, batch_size=5000)
    else:
        solver = KMeans(count, random_state=state, n_init=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different samples than clusters
        return solver.fit(points, sample_weight=weights)


def _most_typical(
    points: Float[np.ndarray, "n dim"], free: Int[np.ndarray, " free"], members: Int[np.ndarray, " members"]
) -> int:
    """Of the free members of a cluster, the one whose neighbours in it are nearest."""
    if len(members) > MOST_MEMBERS:
        centre = points[members].mean(0)
        near = np.argsort(np.linalg.norm(points[members] - centre, axis=1), kind="stable")[:MOST_MEMBERS]
        members = members[near]
        free = np.intersect1d(free, members) if np.isin(free, members).any() else free[:MOST_MEMBERS]
    if len(members) < 2:
        return int(free[0])
    known = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(members))).fit(points[members])
    distances = known.kneighbors(points[free])[0][:, 1:].mean(1)  # the nearest one is itself
    return int(free[int(np.argmin(distances))])
