"""From samples and a recipe to the method that trains on them, with the user's own encoder and views where given."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from likewise.checks import require
from likewise.console import count_of
from likewise.data.source import Source
from likewise.encoders import adopt
from likewise.encoders.base import encoder_name
from likewise.encoders.low_rank import add_low_rank
from likewise.errors import UserError
from likewise.methods import build_method, method_options
from likewise.methods.base import Method, Views
from likewise.methods.contrastive_maml import ContrastiveMAML
from likewise.methods.distill import Distill
from likewise.modalities.lookup import part_modalities, setup
from likewise.modalities.run import open_run
from likewise.modalities.teacher import teacher_for
from likewise.modalities.weights import continued, known_parts, load_known_weights
from likewise.runs.weights import INITIAL, load_weights
from likewise.training.callbacks.snapshots import PAIRS
from likewise.training.machine import channels_last, device_name
from likewise.training.recipe import Recipe


class Training(NamedTuple):
    """What is trained, by which recipe, on what."""

    recipe: Recipe
    """With every value filled in."""
    source: Source
    """The samples, read as the recipe says."""
    method: Method
    """With its views."""
    loaded: list[str]
    """What was loaded of the recipe's `weights`, a line for each."""


def build_training(
    source: Source,
    recipe: Recipe,
    *,
    encoder: nn.Module | None = None,
    views: Views | None = None,
    given: Collection[str] = (),
    kept: Path | None,
) -> Training:
    """The method that trains on these samples, with its views and, where the recipe has them, known weights.

    Args:
        encoder, views: the user's own, in place of those of the modality.
        given: names of values of the recipe that known weights do not change.
        kept: the folder of a run that was begun: what it has learned of its data (a tokenizer) is used again.

    Raises:
        UserError: for a recipe that does not fit the samples, or an impossible value.
    """
    own_encoder = encoder is not None
    kinds = list(dict.fromkeys(part_modalities(source)))
    if recipe.weights is not None:
        recipe = continued(recipe, kinds, given=given, kept=kept)
    if encoder is None or views is None:
        recipe, source, usual_views, build = setup(source, recipe, accelerated=device_name() != "cpu", run_folder=kept)
        check_count(source)  # of documents, these are blocks
        views = usual_views if views is None else views
        encoder = build() if encoder is None else encoder
    if own_encoder:
        recipe = dataclasses.replace(recipe, encoder=type(encoder).__name__)
    loaded: list[str] = []
    if recipe.weights is not None and kept is not None and (kept / INITIAL).is_file():
        load_weights(kept, encoder, name=INITIAL)
    elif recipe.weights is not None:
        loaded = load_known_weights(encoder, recipe, kinds)
    if recipe.lora is not None:
        layers = sum(add_low_rank(part, recipe.lora) for part in known_parts(encoder, recipe, kinds))
        loaded = [*loaded, f"LoRA: {layers} layers learn with rank {recipe.lora}, {_learned(encoder)}"]
    options = method_options(recipe.method) | recipe.options
    recipe = dataclasses.replace(recipe, batch_size=recipe.batch_size or min(256, len(source)), options=options)
    method = build_method(recipe.method, channels_last(adopt_for(encoder, views, source)), recipe.options)
    method.views = views
    if isinstance(method, Distill):
        method.use_teacher(channels_last(teacher_for(method.teacher_run, views, source)))
    if isinstance(method, ContrastiveMAML) and method.clusters_of is not None:
        method.use_embeddings(torch.from_numpy(open_run(method.clusters_of).encode(source)))
    check_start_size(method, source, recipe)
    return Training(recipe, source, method, loaded)


def check_start_size(method: Method, source: Source, recipe: Recipe) -> None:
    """Raise `UserError` for views that are to grow, and cannot."""
    start, views = recipe.start_size, method.views
    if start is None:
        return
    reason = fixed_size(method, recipe)
    require(reason is None, "start_size", f"left out for {reason}", start)
    require(start <= views.size, "start_size", f"at most size, {views.size}", start)  # type: ignore[attr-defined]
    small: Any = views.of_size(start)  # type: ignore[attr-defined]
    try:
        adopt(method.encoder, small.clean(source.read(torch.arange(2))))
    except (RuntimeError, ValueError, AssertionError) as error:
        cause = next(iter(str(error).splitlines()), type(error).__name__)
        name = encoder_name(method.encoder)
        raise UserError(f"start_size must be one that {name} takes, got {start}: {cause}") from error


def fixed_size(method: Method, recipe: Recipe) -> str | None:
    """What keeps the views of a training at one size; None where they can grow."""
    if not hasattr(method.views, "of_size"):
        return f"{type(method.views).__name__}, which have one size"
    if not method.any_size:
        return f"{recipe.method}, whose views have one size"
    if not getattr(method.encoder, "any_size", True):
        return f"{encoder_name(method.encoder)}, whose embeddings of positions are for one size"
    return None


def _learned(encoder: nn.Module) -> str:
    """How many of an encoder's parameters learn, as people read it."""
    learned, every = (sum(p.numel() for p in encoder.parameters() if p.requires_grad or a) for a in (False, True))
    return f"{learned:,} of {every:,} parameters"


def check_count(source: Source) -> None:
    """Raise `UserError` for fewer samples than a training can use."""
    if len(source) < PAIRS:
        raise UserError(
            f"{source.name} has {count_of(len(source), 'sample')}: training needs at least {PAIRS}, better hundreds"
        )


def adopt_for(module: nn.Module, views: Views, source: Source) -> nn.Module:
    """A module as an encoder of these samples: see `likewise.encoders.adopt`."""
    view: Any = views.clean(source.read(torch.arange(2)))
    one_for_all = hasattr(view, "parts") and not hasattr(module, "towers")
    return adopt(module, view.parts[0] if one_for_all else view)
