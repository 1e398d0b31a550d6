"""Retrieval by cosine similarity: the rank of the first correct item, and what is expected by chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.evaluation.distinct_pairs import DistinctPairs
from likewise.evaluation.knn import cosine_similarities
from likewise.runs.table import Table

CUTOFFS = (1, 5, 10)

MAX_SIMILARITIES = 2**22
"""Similarities in memory at once: 16 MiB of float32."""

TIE = 1e-6
"""Similarities that differ by at most this are equal: float32 cannot distinguish them."""

FIGURES = [*(f"recall@{k}" for k in CUTOFFS), "mean reciprocal rank", "median rank"]
FIGURE_UNITS = [*("%" for _ in CUTOFFS), "", ""]


def ranks(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    groups: Int[Tensor, " n"],
    gallery_groups: Int[Tensor, " m"],
) -> Int[Tensor, " n"]:
    """The rank, from 1, of each query's best correct item among the whole gallery, by cosine similarity.

    An item is correct when its group is the query's. A wrong item as similar as the best correct one ranks before it,
    so that an encoder that gives all samples the same embedding finds nothing. Memory is linear in n and m.

    Raises:
        ValueError: when the gallery has no correct item for a query.
    """
    unanswered = (~torch.isin(groups, gallery_groups)).nonzero()
    if len(unanswered):
        raise ValueError(f"gallery_groups must have the group of every query, got none for query {int(unanswered[0])}")
    return _ranks(queries, gallery, lambda start, stop: groups[start:stop, None] == gallery_groups)


def ranks_among_pairs(
    queries: Float[Tensor, "a d"], gallery: Float[Tensor, "b d"], pairs: DistinctPairs
) -> Int[Tensor, " a"]:
    """As `ranks`: every item that stands in a pair with the query is correct for it."""
    return _ranks(queries, gallery, pairs.are_pairs)


def _ranks(
    queries: Float[Tensor, "n d"], gallery: Float[Tensor, "m d"], are_correct: Callable[[int, int], Bool[Tensor, "_ m"]]
) -> Int[Tensor, " n"]:
    found = []
    for start, similarity in cosine_similarities(queries, gallery, max(1, MAX_SIMILARITIES // len(gallery))):
        correct = are_correct(start, start + len(similarity))
        best = similarity.masked_fill(~correct, -torch.inf).amax(1, keepdim=True)
        # What is not clearly below ranks before, NaN too.
        found.append(1 + (similarity < best - TIE).logical_or_(correct).logical_not_().sum(1))
    return torch.cat(found)


def recall_at(ranks: Int[Tensor, " n"], k: int) -> float:
    """The share of the queries with a correct item among the first `k`."""
    return float((ranks <= k).double().mean())


def mean_reciprocal_rank(ranks: Int[Tensor, " n"]) -> float:
    """The mean of 1 / rank; 1 when the first item of every query is correct."""
    return float(ranks.double().reciprocal().mean())


def median_rank(ranks: Int[Tensor, " n"]) -> float:
    """The smallest rank up to which at least half of the queries have a correct item."""
    return float(ranks.median())


def chance_unanswered(correct: Int[Tensor, " n"], items: int) -> Float[np.ndarray, " places"]:
    """The expected share of the queries without a correct item among the first 0, 1, … of a gallery in random order.

    Of m items of which r are correct, the first p are all wrong with probability C(m-r, p) / C(m, p).

    Args:
        correct: how many items are correct for each query.
        items: how many there are.
    """
    counts, queries = correct.unique(return_counts=True)
    left = np.arange(items, 0, -1)  # items from each rank on
    unanswered = np.zeros(len(left) + 1)
    for r, share in zip(counts.tolist(), (queries.double() / len(correct)).tolist(), strict=True):
        wrong = (left - r).clip(0) / left
        unanswered += share * np.concatenate([[1.0], wrong.cumprod()])
    return unanswered


def duplicates(groups: Int[Tensor, " n"]) -> str:
    """How many pairs share a part with another pair, for a table's caption."""
    sizes = groups.unique(return_counts=True)[1]
    several = int(sizes[sizes > 1].sum())
    return f"; {several:,} of them share a part with another, and either counts as correct" if several else ""


def figures(ranks: Int[Tensor, " n"]) -> list[float]:
    """`FIGURES` of these ranks."""
    return [*(recall_at(ranks, k) for k in CUTOFFS), mean_reciprocal_rank(ranks), median_rank(ranks)]


def chance_figures(groups: Int[Tensor, " n"], gallery_groups: Int[Tensor, " m"]) -> list[float]:
    """`FIGURES` that are expected of a gallery in random order, of which the items of a query's group are correct."""
    of_group, sizes = gallery_groups.unique(return_counts=True)
    return chance_of(sizes[torch.searchsorted(of_group, groups)], len(gallery_groups))


def chance_of(correct: Int[Tensor, " n"], items: int) -> list[float]:
    """`FIGURES` that are expected of a gallery in random order: see `chance_unanswered`."""
    unanswered = chance_unanswered(correct, items)
    places = np.arange(1, len(unanswered))
    return [
        *(float(1 - unanswered[min(k, len(places))]) for k in CUTOFFS),
        float((-np.diff(unanswered) / places).sum()),
        float(np.argmax(unanswered < 0.5 + 1e-9)),
    ]


def retrieval_table(
    embedded: Mapping[str, tuple[Float[Tensor, "a _"], Float[Tensor, "b _"]]],
    names: tuple[str, str],
    pairs: DistinctPairs,
    samples: int,
) -> Table:
    """Retrieval of each part of pairs by the other, beside chance.

    Queries and gallery are the different parts, so that an image with five captions is one query and one target. All
    that stands in a pair with a query is correct for it, and the first of these counts.

    Args:
        embedded: the embeddings of `pairs.first` and of `pairs.second`, by the encoder that made them.
        names: what the parts are: "image" and "text", say.
        pairs: the different parts.
        samples: how many pairs there are, equal ones too.
    """
    rows: list[list[str | float | None]] = []
    for backward in (False, True):
        query, target = reversed(names) if backward else names
        asked = pairs.reversed if backward else pairs
        for encoder, parts in embedded.items():
            queries, gallery = reversed(parts) if backward else parts
            rows.append([f"{query} → {target}", encoder, *figures(ranks_among_pairs(queries, gallery, asked))])
        rows.append([f"{query} → {target}", "chance", *chance_of(asked.correct, len(asked.second))])
    counts = len(pairs.first), len(pairs.second)
    gallery_is = "the gallery is the other part of all of them"
    if counts != (samples, samples):
        each = " and ".join(f"{count:,} for {name}" for count, name in zip(counts, names, strict=True))
        gallery_is = f"different parts: {each}; all that stands in a pair with a query is correct for it"
    return Table(
        title=f"retrieval between {names[0]} and {names[1]}",
        caption=f"{samples:,} pairs; {gallery_is}",
        head=["query → target", "encoder", *FIGURES],
        units=["", "", *FIGURE_UNITS],
        rows=rows,
    )
