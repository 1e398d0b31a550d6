"""From samples and a recipe to the method that trains on them, with the user's own encoder and views where given."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from likewise.data.source import Source
from likewise.encoders import adopt
from likewise.errors import UserError
from likewise.methods import build_method, method_options
from likewise.methods.base import Method, Views
from likewise.modalities.lookup import setup
from likewise.training.callbacks.snapshots import PAIRS
from likewise.training.machine import channels_last, device_name
from likewise.training.recipe import Recipe


def build_training(
    source: Source, recipe: Recipe, *, encoder: nn.Module | None = None, views: Views | None = None, kept: Path | None
) -> tuple[Recipe, Source, Method]:
    """The recipe with every value filled in, the samples as they are read for it, and the method with its views.

    Args:
        encoder, views: the user's own, in place of those of the modality.
        kept: the folder of a run that was begun: what it has learned of its data (a tokenizer) is used again.

    Raises:
        UserError: for a recipe that does not fit the samples, or an impossible value.
    """
    own_encoder = encoder is not None
    if encoder is None or views is None:
        recipe, source, usual_views, build = setup(source, recipe, accelerated=device_name() != "cpu", run_folder=kept)
        check_count(source)  # of documents, these are blocks
        views = usual_views if views is None else views
        encoder = build() if encoder is None else encoder
    if own_encoder:
        recipe = dataclasses.replace(recipe, encoder=type(encoder).__name__)
    options = method_options(recipe.method) | recipe.options
    recipe = dataclasses.replace(recipe, batch_size=recipe.batch_size or min(256, len(source)), options=options)
    method = build_method(recipe.method, channels_last(adopt_for(encoder, views, source)), recipe.options)
    method.views = views
    return recipe, source, method


def check_count(source: Source) -> None:
    """Raise `UserError` for fewer samples than a training can use."""
    if len(source) < PAIRS:
        raise UserError(f"{source.name} has {len(source)} samples: training needs at least {PAIRS}, better hundreds")


def adopt_for(module: nn.Module, views: Views, source: Source) -> nn.Module:
    """A module as an encoder of these samples: see `likewise.encoders.adopt`."""
    view: Any = views.clean(source.read(torch.arange(2)))
    one_for_all = hasattr(view, "parts") and not hasattr(module, "towers")
    return adopt(module, view.parts[0] if one_for_all else view)
