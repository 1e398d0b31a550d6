"""The base of methods on pairs: a view and a tower for each half, and their matching accuracy."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.pair import two_towers
from likewise.methods.base import Method
from likewise.modules.matching import matching_accuracy


class PairMethod(Method):
    """A method whose samples are pairs and whose encoder has two towers (see `likewise.encoders.pair`).

    Raises:
        UserError: for an encoder without two towers.
    """

    family = "cross-modal"
    modality = "pair"
    min_batch_size = 2
    cross_modal = True
    compares_augmentations = False

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

    def gather_halves(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The embeddings of all processes, tracked for the diagnostics, and their matching accuracy."""
        one, other = gather(one), gather(other)
        self.track(one, other)
        return one, other, {"accuracy": matching_accuracy(one, other)}

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"accuracy": 1 / batch_size}
