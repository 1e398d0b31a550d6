"""How often the halves of pairs find each other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

ROWS = 256  # rows of the similarity matrix that are computed at once


@torch.no_grad()
def matching_accuracy(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The share of halves whose own partner is the most similar half of the other kind, in [0, 1]; both directions.

    Similarities are cosines; row i of `first` belongs to row i of `second`.
    """
    with torch.autocast(first.device.type, enabled=False):
        a, b = F.normalize(first.float(), dim=1), F.normalize(second.float(), dim=1)
        rows = torch.arange(len(a), device=a.device).split(ROWS)
        hits = [(x[some] @ y.T).argmax(1) == some for some in rows for x, y in ((a, b), (b, a))]
    return torch.cat(hits).float().mean()
