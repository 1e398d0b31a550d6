"""VICRegL: VICReg of whole views, and of pairs of their places."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, check_interval, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.encoders.vit import take
from likewise.losses import vicreg, vicreg_places
from likewise.methods.vicreg import VICReg
from likewise.modules.heads import mlp
from likewise.modules.places import encode_places, locations, nearest_pairs, places_dim


class VICRegL(VICReg):
    """Bardes et al. 2022, VICRegL: Self-Supervised Learning of Local Visual Features, arXiv:2210.01571.

    The loss is `alpha` times VICReg of the embeddings, plus `1 - alpha` times VICReg of pairs of places, each term a
    mean over both directions: of each view the places that lie nearest to a place of the other view, where both lie in
    the image, with these; and each place with the one of the other view whose embedding is the nearest. See
    `likewise.losses.vicreg_places`.

    Args:
        encoder: one with features of places: see `likewise.encoders.Encoder`.
        projection_dim: width of the projector's three layers, and length of the embeddings; larger is better.
        place_dim: the same of the projector of places.
        alpha: weight of the loss of whole views, in [0, 1].
        location_share: share of the places of a view that are paired by location, above 0 and at most 1; the paper
            pairs 20 of 7 x 7 and 4 of 3 x 3.
        invariance: weight λ of the distance between embeddings, 0 or more.
        variance: weight μ of the variance of each dimension, 0 or more.
        covariance: weight ν of the covariances, 0 or more.

    Raises:
        UserError: for a number out of its range, or an encoder without features of places.
    """

    modality = "image"
    paper = "2210.01571"
    when_to_use = "as VICReg, for segmentation and detection: no negatives, and places keep where they are in the image"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 8192,
        place_dim: int = 512,
        alpha: float = 0.75,
        location_share: float = 0.4,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__(
            encoder,
            projection_dim=projection_dim,
            invariance=invariance,
            variance=variance,
            covariance=covariance,
        )
        check_int(2, place_dim=place_dim)
        check_interval(0, 1, alpha=alpha)
        check_interval(0, 1, closed="right", location_share=location_share)
        self.place_projector = mlp(places_dim(encoder), place_dim, place_dim, place_dim)
        self.alpha, self.location_share = alpha, location_share

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        possible = hasattr(self.views, "located_pair")
        require(possible, "views", "those of images, which say where they lie", type(self.views).__name__)
        first, second, homographies = self.views.located_pair(batch.samples, generator)  # type: ignore[attr-defined]
        return homographies, first, second

    def objective(self, homographies: Float[Tensor, "n 2 3 3"], *views: Any) -> dict[str, Tensor]:  # type: ignore[override]
        embeddings, maps = zip(*(self.embed_with_places(view) for view in views), strict=True)
        self.track(*embeddings)
        of_views = vicreg(embeddings[0], embeddings[1], **self.weights)
        places = maps[0].shape[1]
        side = math.isqrt(places)  # views are square, and so are their maps
        where = [locations(each, side, side) for each in gather(homographies).unbind(1)]
        by_location = self.of_pairs(maps, where, max(1, round(self.location_share * places)))
        by_features = self.of_pairs(maps, maps, None)
        loss = self.alpha * of_views + (1 - self.alpha) * (by_location + by_features)
        return {"loss": loss, "of_views": of_views, "by_location": by_location, "by_features": by_features}

    def embed_with_places(self, view: Any) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n m k"]]:
        """The embeddings of a view and of its places, of the batch of all processes."""
        embedding, places = encode_places(self.encode, self.encoder, view)
        projected = self.place_projector(places.flatten(0, 1)).unflatten(0, places.shape[:2])
        return gather(self.projector(embedding)), gather(projected)

    def of_pairs(self, maps: Any, near: Any, most: int | None) -> Tensor:
        """VICReg of the places of either view with those of the other that are nearest by what is in `near`."""
        terms = []
        for one, other in ((0, 1), (1, 0)):
            own, theirs = nearest_pairs(near[one], near[other], most)
            terms.append(vicreg_places(take(maps[one], own), take(maps[other], theirs), **self.weights))
        return torch.stack(terms).mean()
