"""Images: views by size, channels and whether they are drawings; ResNet-8 or ResNet-18 unless told otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from likewise.data.read_options import ReadOptions
from likewise.data.source import fitted
from likewise.encoders import default_image_encoder, image_encoder
from likewise.evaluation.features import RawFeatures, raw_features
from likewise.modalities import Examined, Prepared
from likewise.views import ImageViews, drawn, preset

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.evaluation import ComputeSettings
    from likewise.runs.table import Table
    from likewise.training.recipe import Recipe

encoder = image_encoder


def prepare(source: Source, recipe: Recipe, *, accelerated: bool, kept: Path | None = None) -> Prepared:
    source = fitted(source, ReadOptions(size=recipe.size, channels=recipe.channels))
    _, channels, height, width = source.read(torch.tensor([0])).shape
    size = recipe.size or max(height, width)
    name = default_image_encoder(size, accelerated=accelerated) if recipe.encoder == "auto" else recipe.encoder
    ops: Iterable[Any] = recipe.augment
    if isinstance(recipe.augment, str):
        some = source.read(torch.linspace(0, len(source) - 1, min(64, len(source))).long())
        ops = preset(recipe.augment, size=size, channels=channels, symbols=channels == 1 or drawn(some))
    views = ImageViews(ops, size=size, channels=channels)
    augment = recipe.augment if isinstance(recipe.augment, str) else views.config()["ops"]
    # On a CPU twice the steps are worth more than twice the negatives, and photographs stay below 2 GiB of memory.
    batch = recipe.batch_size or min(256 if accelerated else 128, len(source))
    resolved = dataclasses.replace(
        recipe, size=size, channels=channels, encoder=name, augment=augment, batch_size=batch
    )
    return Prepared(resolved, source, views, lambda: image_encoder(name, channels=channels, size=size))


def pack(views: ImageViews) -> tuple[dict[str, Any], dict[str, str]]:
    return views.config(), {}


def unpack(config: dict[str, Any], folder: Path) -> ImageViews:
    return ImageViews.from_config(config)


def read_options(views: ImageViews) -> dict[str, Any]:
    return {"size": views.size, "channels": views.channels}


def baseline(views: ImageViews, compute: ComputeSettings, train: Source) -> RawFeatures:
    return RawFeatures("pixels", raw_features(views, compute))


def examine(examined: Examined) -> list[Table]:
    return []
