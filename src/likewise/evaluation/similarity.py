"""Semantic similarity: do embeddings order pairs as people do?"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

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
    """How the similarities go with the scores of the pairs.

    Args:
        similarities: of each pair, by what they were computed from: the encoder's embeddings, TF-IDF.
        scores: what people said, the more alike the higher.
    """
    return Table(
        title="similarity of scored pairs",
        caption=f"Spearman's rank correlation of similarities and scores over {len(scores):,} pairs; "
        "0 by chance, 1 for the same order",
        head=["similarity by", "correlation"],
        units=["", ""],
        rows=[[name, rank_correlation(values, scores)] for name, values in similarities.items()],
    )
