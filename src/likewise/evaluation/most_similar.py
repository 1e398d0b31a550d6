"""The embeddings that are most similar to one, found exactly among any number that are read in parts."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def most_similar(
    query: Float[Tensor, " dim"], parts: Iterable[Float[Tensor, "n dim"]], top: int
) -> list[tuple[int, float]]:
    """Positions and cosine similarities, in [-1, 1], of the `top` embeddings most similar to `query`, the best first.

    Of equally similar ones the first is better. Only one part and the best so far are in memory.

    Args:
        query: not of length 0.
        parts: all embeddings, in their order.
    """
    query = F.normalize(query.float(), dim=0)
    best: list[tuple[float, int]] = []
    start = 0
    for part in parts:
        similarities = F.normalize(part.float(), dim=1) @ query
        found = similarities.topk(min(top, len(similarities)))
        best += zip(found.values.tolist(), (-(start + found.indices)).tolist(), strict=True)
        best = heapq.nlargest(top, best)
        start += len(part)
    return [(-position, similarity) for similarity, position in best]
