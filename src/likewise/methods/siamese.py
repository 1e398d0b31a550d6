"""Siamese networks: pull pairs together, push other samples apart by a margin."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_choice, check_int, check_positive
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import margin_contrastive, mined_triplet
from likewise.methods.base import Method
from likewise.modules.heads import projector


class Siamese(Method):
    """Pairs and triplets: Hadsell, Chopra & LeCun 2006; FaceNet, Schroff et al. 2015, arXiv:1503.03832.

    Two views are a positive pair if they come from one sample or, with labels, from one class.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the embeddings whose distances are compared.
        loss: `triplet` (see `likewise.losses.mined_triplet`); or `margin` (see `likewise.losses.margin_contrastive`),
            of each view with a positive and with a view of another sample.
        margin: above 0: how much farther a negative must lie than a positive (`triplet`), or how far (`margin`).
        mining: of triplets: `semi-hard`, FaceNet's, of unit vectors; or `batch-hard` (Hermans et al. 2017,
            arXiv:1703.07737), of the embeddings without normalization.
        pairs: `generated`, two views of a sample; or `labelled`, samples of one class, by the labels of the data.

    Raises:
        UserError: for an unknown choice, or a number out of its range.
    """

    family = "contrastive"
    paper = "1503.03832"
    when_to_use = "distances for verification or search; can use class labels, and works without them"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        loss: str = "triplet",
        margin: float = 0.2,
        mining: str = "semi-hard",
        pairs: str = "generated",
    ) -> None:
        super().__init__(encoder)
        check_int(projection_dim=projection_dim)
        check_choice(("triplet", "margin"), loss=loss)
        check_choice(("semi-hard", "batch-hard"), mining=mining)
        check_choice(("generated", "labelled"), pairs=pairs)
        check_positive(margin=margin)
        self.projector = projector(self.dim, projection_dim)
        self.loss, self.margin = loss, margin
        self.mining: Any = mining
        self.supervised = pairs == "labelled"

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        views = super().make_views(batch, generator)
        return (*views, batch.labels) if self.supervised else views

    def objective(self, first: Any, second: Any, labels: Tensor | None = None) -> Tensor:
        z1, z2 = map(gather, self.embed(torch.cat([first, second])).chunk(2))
        self.track(z1, z2)
        same = torch.arange(len(z1), device=z1.device) if labels is None else gather(labels)
        z, same = torch.cat([z1, z2]), same.repeat(2)
        if self.loss == "margin":
            left, right = pairs_of(same)
            return margin_contrastive(z[left], z[right], same[left] != same[right], margin=self.margin)
        if self.mining == "semi-hard":
            z = F.normalize(z, dim=1)
        return mined_triplet(z, same, margin=self.margin, mining=self.mining)

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        """The loss of embeddings that are all equal; with labelled pairs, their margin loss depends on the labels."""
        if self.loss == "triplet":
            return {"loss": self.margin}
        return {} if self.supervised else {"loss": self.margin**2 / 4}


def pairs_of(same: Int[Tensor, " m"]) -> Int[Tensor, "2 m"]:
    """Rows to compare: positive pairs, then each first view with the second view of another sample.

    Args:
        same: of the first views and then of the second ones; equal where views form a positive pair.
    """
    together = same.argsort(stable=True).view(-1, 2).T  # both views of a sample are there: no pair spans two classes
    first, second = torch.arange(len(same), device=same.device).chunk(2)
    return torch.cat([together, torch.stack([first, second.roll(1)])], dim=1)
