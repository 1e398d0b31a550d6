"""The most similar answers to a few queries among samples in two halves, in both directions."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from likewise.data.source import Source
from likewise.evaluation.retrieval import ranks
from likewise.runs.matches import RetrievalMatches
from likewise.runs.samples import Samples, halves

QUERIES, ANSWERS = 12, 5
AT_ONCE = 64  # samples that are shown are read so many at a time


def retrieval_matches(
    source: Source,
    views: Any,
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    *,
    names: tuple[str, str],
    groups: Int[Tensor, " n"],
) -> RetrievalMatches:
    """The five most similar answers to twelve queries, evenly spaced, from each half to the other.

    Args:
        source: the pairs.
        views: theirs, in parts.
        first, second: the embeddings of the halves, pair by pair; they are compared by their cosines.
        names: what to call the halves.
        groups: pairs of one group answer for each other.
    """
    first, second = (F.normalize(half.cpu().float(), dim=1) for half in (first, second))
    queries = torch.linspace(0, len(first) - 1, min(QUERIES, len(first)), dtype=torch.float64).round().long()
    directions = [(first[queries], second), (second[queries], first)]
    answers = torch.stack(
        [(asked @ gallery.T).topk(min(ANSWERS, len(gallery))).indices for asked, gallery in directions]
    )
    shown = torch.cat([queries, answers.flatten()]).unique()
    looks = [halves(views, views.clean(source.read(some))) for some in shown.split(AT_ONCE)]
    one, other, *_ = (Samples.joined(parts) for parts in zip(*looks, strict=True))
    return RetrievalMatches(
        names=names,
        candidates=len(first),
        queries=torch.searchsorted(shown, queries).numpy(),
        answers=torch.searchsorted(shown, answers).numpy(),
        right=(groups[answers] == groups[queries][:, None]).numpy(),
        ranks=torch.stack([ranks(asked, gallery, groups[queries], groups) for asked, gallery in directions]).numpy(),
        halves=(one, other),
    )
