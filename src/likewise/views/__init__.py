"""Views: random variants of a batch, made for the whole batch at once, on its device."""

from likewise.views.image import ImageViews
from likewise.views.picture import picture_grid
from likewise.views.presets import STRENGTHS, drawn, mirrored_alike, placed_alike, preset
from likewise.views.specification import OPERATIONS, operations

__all__ = [
    "OPERATIONS",
    "STRENGTHS",
    "ImageViews",
    "drawn",
    "mirrored_alike",
    "operations",
    "picture_grid",
    "placed_alike",
    "preset",
]
