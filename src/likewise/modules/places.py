"""What methods do with the features of places: encode them with the embedding, and match those of two views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import require
from likewise.encoders.base import encoder_name


def places_dim(encoder: nn.Module) -> int:
    """The length of the features of a place.

    Raises:
        UserError: for an encoder without features of places.
    """
    has_places = hasattr(encoder, "with_features") and hasattr(encoder, "features_dim")
    remedy = "give it what `likewise.encoders.Encoder` has: features_dim and with_features(view)"
    require(has_places, "encoder", "one with features of places", encoder_name(encoder), remedy)
    return int(encoder.features_dim)  # type: ignore[arg-type]


def encode_places(
    encode: Callable[[Any, Callable[[Any], Tensor]], Tensor], encoder: Any, view: Any
) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n m d"]]:
    """Embeddings, and the features of each place, in one pass.

    Args:
        encode: of a method, which may encode in micro-batches: view, and what encodes it -> rows.
        encoder: one with features of places.
        view: `(n, ...)`.
    """

    def rows(view: Any) -> Float[Tensor, "n _"]:
        embedding, places = encoder.with_features(view)
        return torch.cat([embedding, places.flatten(1)], 1)

    embedding, places = encode(view, rows).tensor_split([encoder.dim], dim=1)
    return embedding, places.unflatten(1, (-1, encoder.features_dim))


@torch.no_grad()
def most_similar_places(first: Float[Tensor, "n p d"], second: Float[Tensor, "n q d"]) -> Int[Tensor, "n p"]:
    """For each place of the first view the place of the second one with the largest cosine."""
    with torch.autocast(first.device.type, enabled=False):
        precise = torch.promote_types(first.dtype, torch.float32)
        one, other = (F.normalize(places.to(precise), dim=2) for places in (first, second))
        return (one @ other.transpose(1, 2)).argmax(2)


@torch.no_grad()
def nearest_pairs(
    first: Float[Tensor, "n p d"], second: Float[Tensor, "n q d"], most: int | None = None
) -> tuple[Int[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Places of the first view and, for each, the place of the second one at the smallest distance.

    Args:
        first: what lies near each other: locations, or embeddings of places.
        second: likewise.
        most: how many places of the first view are kept, those nearest to their pair, in their order; None for all.
    """
    with torch.autocast(first.device.type, enabled=False):
        precise = torch.promote_types(first.dtype, torch.float32)
        # Each distance by itself: equal ones, of which the first counts, are equal whatever else is in the batch.
        distances = torch.cdist(first.to(precise), second.to(precise), compute_mode="donot_use_mm_for_euclid_dist")
    nearest, pairs = distances.min(2)
    kept = nearest.argsort(dim=1, stable=True)[:, :most].sort(1).values
    return kept, pairs.gather(1, kept)


def locations(homographies: Float[Tensor, "n 3 3"], rows: int, columns: int) -> Float[Tensor, "n m 2"]:
    """Where in the image the middle of each place of a view lies, (x, y), places row by row.

    Args:
        homographies: from the normalized coordinates of a view, whose edges are -1 and 1, to the image.
        rows: of places.
        columns: of places.
    """
    down, right = ((2 * torch.arange(length).to(homographies) + 1) / length - 1 for length in (rows, columns))
    y, x = (axis.flatten() for axis in torch.meshgrid(down, right, indexing="ij"))
    # Products one by one, for the same reason as in `nearest_pairs`.
    u, v, w = (row[:, :1] * x + row[:, 1:2] * y + row[:, 2:] for row in homographies.unbind(1))
    return torch.stack([u / w, v / w], dim=2)
