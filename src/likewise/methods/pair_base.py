"""What methods on pairs share: a view of each half, a tower for each half, and how often the halves find each other."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.pair import two_towers
from likewise.methods.base import Method

ROWS = 256  # similarities of so many halves with all others are held at once


class PairMethod(Method):
    """A method whose samples are pairs and whose encoder has two towers (see `likewise.encoders.pair`).

    Raises:
        UserError: for an encoder that has not.
    """

    family = "cross-modal"
    modality = "pair"
    min_batch_size = 2
    cross_modal = True

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        two_towers(encoder)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return self.views(batch.samples, generator).parts

    def embed_halves(self, one: Any, other: Any) -> tuple[Tensor, Tensor]:
        """The joint embeddings `(n, d)` of the views of the two halves, of this process."""
        towers = two_towers(self.encoder)
        return self.encode(one, towers[0]), self.encode(other, towers[1])

    def embed_pairs(
        self, samples: Any, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        return self.embed_halves(*self.views(samples, generator).parts)

    def compared(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The embeddings of all processes, shown to the diagnostics, and how often the halves find each other."""
        one, other = gather(one), gather(other)
        self.track(one, other)
        return one, other, {"accuracy": found(one, other)}

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"accuracy": 1 / batch_size}


@torch.no_grad()
def found(one: Float[Tensor, "n d"], other: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """How often the most similar half of the other kind is a half's own, in [0, 1]; the mean of both ways."""
    with torch.autocast(one.device.type, enabled=False):
        a, b = F.normalize(one.float(), dim=1), F.normalize(other.float(), dim=1)
        rows = torch.arange(len(a), device=a.device).split(ROWS)
        hits = [(x[some] @ y.T).argmax(1) == some for some in rows for x, y in ((a, b), (b, a))]
    return torch.cat(hits).float().mean()
