"""Clusters of embeddings, and names for them: the words that are frequent in a cluster and rare elsewhere."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch.nn import functional as F

from likewise.modules.kmeans import spherical_kmeans

MOST_CLUSTERS = 24
"""As many names as fit on a map."""
SAMPLED = 50_000
"""Embeddings that centroids are learned from."""
ITERATIONS = 25
AT_ONCE = 8192
MEMBERS = 300
"""Of a cluster, whose words are counted."""
NAMING = 3
"""Words of a name."""
LEAST_SHARE = 0.1
"""Of a cluster's members that have a word of its name."""
WORD = re.compile(r"[^\W\d_]{3,}")
LETTERS = 2000
"""Of a text that are looked at."""


def cluster(features: Float[np.ndarray, "n dim"]) -> Int32[np.ndarray, " n"]:
    """The number of each embedding's cluster, by k-means of their directions; the largest cluster is 0."""
    count = len(features)
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:SAMPLED])
    points = F.normalize(torch.from_numpy(features[chosen]), dim=1)
    wanted = min(max(1, round(math.sqrt(count / 2))), MOST_CLUSTERS)
    centroids, _ = spherical_kmeans(points, wanted, generator=torch.Generator().manual_seed(0), iterations=ITERATIONS)
    parts = [
        (torch.from_numpy(features[start : start + AT_ONCE]) @ centroids.T).argmax(1)
        for start in range(0, count, AT_ONCE)
    ]
    numbers = torch.cat(parts).numpy()
    sizes = np.bincount(numbers, minlength=wanted)
    rank = np.empty(wanted, dtype=np.int32)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(wanted, dtype=np.int32)
    return rank[numbers]


def cluster_names(clusters: Int32[np.ndarray, " n"], words_of: Callable[[int], set[str]]) -> list[str]:
    """A name for each cluster: up to three words that many of its members have and few of others; "" without any.

    Args:
        words_of: the words of the sample at a place.
    """
    count = int(clusters.max()) + 1
    random = np.random.default_rng(0)
    shares = []
    for number in range(count):
        members = np.flatnonzero(clusters == number)
        chosen = random.choice(members, MEMBERS, replace=False) if len(members) > MEMBERS else members
        found = Counter(word for place in chosen.tolist() for word in words_of(place))
        shares.append({word: times / len(chosen) for word, times in found.items()})
    sizes = np.bincount(clusters) / len(clusters)
    overall: dict[str, float] = {}
    for share, size in zip(shares, sizes.tolist(), strict=True):
        for word, part in share.items():
            overall[word] = overall.get(word, 0.0) + part * size
    return [", ".join(_best(share, overall)) for share in shares]


def words_in(texts: Iterable[str]) -> set[str]:
    """The words of texts, in lower case, of three letters or more."""
    return {word for text in texts for word in WORD.findall(text[:LETTERS].lower())}


def words_of_path(id: str) -> set[str]:
    """The names of the folders of a file, and the words of its own name."""
    *folders, name = id.split("/")
    return {*folders, *words_in([name.rpartition(".")[0] or name])}


def _best(share: dict[str, float], overall: dict[str, float]) -> list[str]:
    scores = {
        word: part * math.log(part / overall[word])
        for word, part in share.items()
        if part >= LEAST_SHARE and part > overall[word]
    }
    return sorted(scores, key=lambda word: (-scores[word], word))[:NAMING]
