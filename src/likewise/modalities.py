"""What each modality brings to the spine: its views, its encoders, and how a sample decides both.

A source says which modality it is; nothing else in the spine asks. A source of a new modality needs no line here
when its views and encoder are given from Python.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from likewise.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from likewise.data.source import Source
    from likewise.methods.base import Views
    from likewise.training.recipe import Recipe


def image(source: Source, recipe: Recipe, accelerated: bool) -> tuple[Recipe, Views, Callable[[], nn.Module]]:
    """Views by size, channels and whether the pictures are drawings; ResNet-8 or ResNet-18 unless told otherwise."""
    from likewise.encoders import default_image_encoder, image_encoder
    from likewise.views import ImageViews, drawn, preset

    _, channels, height, width = source.read(torch.tensor([0])).shape
    size = recipe.size or max(height, width)
    channels = recipe.channels or channels
    name = default_image_encoder(size, accelerated=accelerated) if recipe.encoder == "auto" else recipe.encoder
    ops: Iterable[Any] = recipe.augment
    if isinstance(recipe.augment, str):
        some = source.read(torch.linspace(0, len(source) - 1, min(64, len(source))).long())
        ops = preset(recipe.augment, size=size, channels=channels, symbols=channels == 1 or drawn(some))
    views = ImageViews(ops, size=size, channels=channels)
    augment = recipe.augment if isinstance(recipe.augment, str) else views.config()["ops"]
    # On a CPU twice the steps are worth more than twice the negatives, and photographs stay below 2 GiB of memory.
    batch = recipe.batch or min(256 if accelerated else 128, len(source))
    resolved = dataclasses.replace(recipe, size=size, channels=channels, encoder=name, augment=augment, batch=batch)
    return resolved, views, lambda: image_encoder(name, channels=channels, size=size)


MODALITIES = {"image": image}


def prepare(source: Source, recipe: Recipe, *, accelerated: bool) -> tuple[Recipe, Views, Callable[[], nn.Module]]:
    """The recipe with what the samples decide filled in, the views, and what builds the encoder.

    Raises:
        UserError: for a modality without views and encoders of its own.
    """
    if source.modality not in MODALITIES:
        raise UserError(f"modality '{source.modality}' has no views and encoders of its own: pass views= and encoder=")
    return MODALITIES[source.modality](source, recipe, accelerated)
