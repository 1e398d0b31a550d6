"""Finding what belongs together: how far down the list, by cosine similarity, the first right answer comes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.evaluation.knn import cosine_similarities
from likewise.runs.table import Table

CUTOFFS = (1, 5, 10)

HELD_SIMILARITIES = 2**22
"""Similarities in memory at once: 16 MiB of float32."""

TIE = 1e-6
"""Similarities no further apart than this are equal: float32 does not tell them apart."""

FIGURES = [*(f"recall@{k}" for k in CUTOFFS), "mean reciprocal rank", "median rank"]
FIGURE_UNITS = [*("%" for _ in CUTOFFS), "", ""]


def ranks(
    queries: Float[Tensor, "n d"],
    gallery: Float[Tensor, "m d"],
    groups: Int[Tensor, " n"],
    gallery_groups: Int[Tensor, " m"],
) -> Int[Tensor, " n"]:
    """The place, from 1, of each query's best right answer among all of the gallery, by cosine similarity.

    An item is right when its group is the query's. A wrong item as similar as the best right one comes before it, so
    that an encoder to which all things are alike finds nothing. Memory is linear in n and m.

    Raises:
        ValueError: when the gallery has no right answer to a query.
    """
    unanswered = (~torch.isin(groups, gallery_groups)).nonzero()
    if len(unanswered):
        raise ValueError(f"groups: the gallery has no right answer to query {int(unanswered[0])}")
    found = []
    for start, similarity in cosine_similarities(queries, gallery, max(1, HELD_SIMILARITIES // len(gallery))):
        right = groups[start : start + len(similarity), None] == gallery_groups
        best = similarity.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        # What is not below comes before: NaN too, of which nothing can be said.
        found.append(1 + (similarity < best - TIE).logical_or_(right).logical_not_().sum(1))
    return torch.cat(found)


def recall_at(ranks: Int[Tensor, " n"], k: int) -> float:
    """The share of the queries with a right answer among the first `k`."""
    return float((ranks <= k).double().mean())


def mean_reciprocal_rank(ranks: Int[Tensor, " n"]) -> float:
    """1 where every query's first answer is right."""
    return float(ranks.double().reciprocal().mean())


def median_rank(ranks: Int[Tensor, " n"]) -> float:
    """The smallest rank within which at least half of the queries are answered."""
    return float(ranks.median())


def chance_unanswered(groups: Int[Tensor, " n"], gallery_groups: Int[Tensor, " m"]) -> Float[np.ndarray, " places"]:
    """The share of the queries that 0, 1, … m places of a gallery in random order are expected to leave unanswered.

    Of m items of which r are right, the first p are all wrong with probability C(m-r, p) / C(m, p).
    """
    of_group, sizes = gallery_groups.unique(return_counts=True)
    right, queries = sizes[torch.searchsorted(of_group, groups)].unique(return_counts=True)
    left = np.arange(len(gallery_groups), 0, -1)  # items not seen yet, at each place
    unanswered = np.zeros(len(left) + 1)
    for r, share in zip(right.tolist(), (queries.double() / len(groups)).tolist(), strict=True):
        wrong = (left - r).clip(0) / left
        unanswered += share * np.concatenate([[1.0], wrong.cumprod()])
    return unanswered


def alike(groups: Int[Tensor, " n"]) -> str:
    """How many pairs answer for another one too, for a table's caption."""
    sizes = groups.unique(return_counts=True)[1]
    several = int(sizes[sizes > 1].sum())
    return f"; {several:,} of them share a half with another, and either answer is right" if several else ""


def figures(ranks: Int[Tensor, " n"]) -> list[float]:
    """`FIGURES` of these ranks."""
    return [*(recall_at(ranks, k) for k in CUTOFFS), mean_reciprocal_rank(ranks), median_rank(ranks)]


def chance_figures(groups: Int[Tensor, " n"], gallery_groups: Int[Tensor, " m"]) -> list[float]:
    """`FIGURES` that are expected of a gallery in random order."""
    unanswered = chance_unanswered(groups, gallery_groups)
    places = np.arange(1, len(unanswered))
    return [
        *(float(1 - unanswered[min(k, len(places))]) for k in CUTOFFS),
        float((-np.diff(unanswered) / places).sum()),
        float(np.argmax(unanswered < 0.5 + 1e-9)),
    ]


def retrieval_table(
    embedded: Mapping[str, tuple[Float[Tensor, "n _"], Float[Tensor, "n _"]]],
    names: tuple[str, str],
    groups: Int[Tensor, " n"],
) -> Table:
    """Each half of a pair looked up by the other, among all pairs, beside chance.

    Args:
        embedded: the embeddings of both halves, pair by pair, by what made them: the encoder, an untrained one.
        names: what the halves are: "image" and "text", say.
        groups: pairs of one group answer for each other (see `connected_groups`).
    """
    rows: list[list[str | float | None]] = []
    for backward in (False, True):
        asked, sought = reversed(names) if backward else names
        for made_by, halves in embedded.items():
            queries, gallery = reversed(halves) if backward else halves
            rows.append([f"{asked} → {sought}", made_by, *figures(ranks(queries, gallery, groups, groups))])
        rows.append([f"{asked} → {sought}", "chance", *chance_figures(groups, groups)])
    return Table(
        title=f"{names[0]} and {names[1]}: finding one by the other",
        caption=f"{len(groups):,} pairs, each half looked up among all of its kind{alike(groups)}",
        head=["looked up", "by", *FIGURES],
        units=["", "", *FIGURE_UNITS],
        rows=rows,
    )
