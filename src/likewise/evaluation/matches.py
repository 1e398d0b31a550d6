"""The most similar answers to a few queries among samples in two halves, in both directions."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.distinct_pairs import DistinctPairs
from likewise.evaluation.retrieval import ranks_among_pairs
from likewise.runs.matches import RetrievalMatches
from likewise.runs.samples import Samples, halves

QUERIES, ANSWERS = 12, 5
AT_ONCE = 64  # samples that are shown are read so many at a time


def retrieval_matches(
    source: Source,
    views: Any,
    first: Float[Tensor, "a d"],
    second: Float[Tensor, "b d"],
    *,
    names: tuple[str, str],
    pairs: DistinctPairs,
) -> RetrievalMatches:
    """The five most similar answers to twelve queries, evenly spaced, from each half to the other.

    Args:
        source: the pairs.
        views: theirs, in parts.
        first, second: the embeddings of `pairs.first` and `pairs.second`; they are compared by their cosines.
        names: what to call the halves.
        pairs: the different parts of the pairs.
    """
    first, second = (F.normalize(half.cpu().float(), dim=1) for half in (first, second))
    asked = torch.linspace(0, len(first) - 1, min(QUERIES, len(first)), dtype=torch.float64).round().long()
    queries = pairs.first[asked]
    # The other way, the queries are the second parts of the same pairs.
    searches = [(asked, first, second, pairs), (pairs.parts[queries, 1], second, first, pairs.reversed)]
    count = min(ANSWERS, len(first), len(second))
    best = [(by[rows] @ gallery.T).topk(count).indices for rows, by, gallery, _ in searches]
    answers = torch.stack([each.second[found] for found, (*_, each) in zip(best, searches, strict=True)])
    shown = torch.cat([queries, answers.flatten()]).unique()
    looks = [halves(views, views.clean(source.read(some))) for some in shown.split(AT_ONCE)]
    one, other, *_ = (Samples.joined(parts) for parts in zip(*looks, strict=True))
    right = [
        torch.cat([each.are_pairs(row, row + 1)[:, answer] for row, answer in zip(rows.tolist(), found, strict=True)])
        for found, (rows, _, _, each) in zip(best, searches, strict=True)
    ]
    return RetrievalMatches(
        names=names,
        candidates=(len(second), len(first)),
        queries=torch.searchsorted(shown, queries).numpy(),
        answers=torch.searchsorted(shown, answers).numpy(),
        right=torch.stack(right).numpy(),
        ranks=torch.stack([ranks_among_pairs(by, gallery, each)[rows] for rows, by, gallery, each in searches]).numpy(),
        halves=(one, other),
    )
