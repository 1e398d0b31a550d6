"""Semantic similarity: the rank correlation of cosine similarities with scores that people gave."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from likewise.console import count_of
from likewise.evaluation.knn import unit
from likewise.runs.table import Table


def cosines(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Cosine similarity of each pair of embeddings."""
    return (unit(first) * unit(second)).sum(1).to_dense()


def rank_correlation(similarities: Float[Tensor, " n"], scores: Float[Tensor, " n"]) -> float | None:
    """Spearman's correlation, equal values sharing their mean rank; None where all values of a side are equal."""
    sides = [side.double().numpy() for side in (similarities, scores)]
    if any((side == side[0]).all() for side in sides):
        return None
    return float(spearmanr(*sides).statistic)


def similarity_table(similarities: Mapping[str, Float[Tensor, " n"]], scores: Float[Tensor, " n"]) -> Table:
    """Rank correlation of each kind of similarity with the scores of the pairs.

    Args:
        similarities: of each pair, by the embeddings that they were computed from: the encoder's, TF-IDF.
        scores: given by people, higher for more similar pairs.
    """
    return Table(
        title="similarity of scored pairs",
        caption=f"Spearman's rank correlation of similarities and scores over {count_of(len(scores), 'pair')}; "
        "0 by chance, 1 for the same order",
        head=["embeddings", "correlation"],
        units=["", ""],
        rows=[[name, rank_correlation(values, scores)] for name, values in similarities.items()],
    )
