"""Objects that are found without any annotation, by how alike the places of an image are to the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from scipy import ndimage
from torch import Tensor

from likewise.data.annotations.annotation import IGNORE

SEED_SHARE = 0.1
"""Of the places: those of the fewest similar ones, among which seeds are; the paper has 100 of about 1,000."""
OVERLAP = 0.5
"""Of a box with an object's: their intersection over union from which the object is found."""

Edges = tuple[float, float, float, float]
"""left, top, right, bottom."""


def object_box(features: Float[Tensor, "d i j"], inside: Bool[Tensor, "i j"]) -> Edges:
    """The box of what is least like the rest of an image: LOST (Siméoni et al. 2021, arXiv:2109.14279).

    Two places are similar where the product of their features is not negative. The seed is the place that the fewest
    are similar to. The places of the fewest similar ones that are similar to it are seeds as well, and the object is
    what is similar to their sum and is connected with the first seed. The features are standardized over the places of
    the image: those of networks that end in a ReLU have no negative products.

    Args:
        features: of each place.
        inside: the places that belong to the image; at least one.

    Returns:
        Edges in places, from the left and the top of the map.
    """
    rows = features.movedim(0, 2)[inside].double()
    rows = (rows - rows.mean(0)) / rows.std(0, correction=0).clamp_min(1e-6)
    similar = rows @ rows.T >= 0
    order = similar.sum(1).argsort(stable=True)
    first = int(order[0])
    lowest = order[: max(1, round(SEED_SHARE * len(rows)))]
    seeds = lowest[similar[first, lowest]]
    alike = rows @ rows[seeds].sum(0) >= 0
    alike[first] = True
    found = torch.zeros(inside.shape, dtype=torch.bool)
    found[inside] = alike
    parts, _ = ndimage.label(found.numpy())
    seed_row, seed_column = inside.nonzero()[first].tolist()
    down, right = (torch.from_numpy(parts) == int(parts[seed_row, seed_column])).nonzero().unbind(1)
    return float(right.min()), float(down.min()), float(right.max() + 1), float(down.max() + 1)


def object_boxes(mask: Integer[Tensor, "h w"]) -> list[Edges]:
    """The boxes of the connected parts of each class of a mask, but for class 0, the background, and what has none."""
    boxes = []
    for label in mask.unique().tolist():
        if label in (0, IGNORE):
            continue
        parts, _ = ndimage.label((mask == label).numpy())
        boxes += [
            (float(x.start), float(y.start), float(x.stop), float(y.stop)) for y, x in ndimage.find_objects(parts)
        ]
    return boxes


def overlap(one: Edges, other: Edges) -> float:
    """Intersection over union of two boxes."""

    def area(left: float, top: float, right: float, bottom: float) -> float:
        return max(0.0, right - left) * max(0.0, bottom - top)

    low = [max(a, b) for a, b in zip(one[:2], other[:2], strict=True)]
    high = [min(a, b) for a, b in zip(one[2:], other[2:], strict=True)]
    both = area(low[0], low[1], high[0], high[1])
    return both / (area(*one) + area(*other) - both)


def correct_localization(found: Sequence[Edges], truth: Sequence[Sequence[Edges]]) -> float | None:
    """CorLoc: the share of the images whose box overlaps that of an object by half, of those with an object.

    None where no image has one.
    """
    hits = [
        any(overlap(box, other) >= OVERLAP for other in others)
        for box, others in zip(found, truth, strict=True)
        if others
    ]
    return sum(hits) / len(hits) if hits else None


def whole_box(frame: Any) -> Edges:
    """The box of all of an image that lies at (left, top, width, height)."""
    left, top, width, height = frame
    return float(left), float(top), float(left + width), float(top + height)


def places_inside(frame: Any, size: int, places: tuple[int, int]) -> Bool[Tensor, "i j"]:
    """The places whose middle belongs to an image that lies so in a square of `size`."""
    left, top, right, bottom = whole_box(frame)
    y, x = ((torch.arange(count) + 0.5) * size / count for count in places)
    found = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    return found if found.any() else torch.ones(places, dtype=torch.bool)
