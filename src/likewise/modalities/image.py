"""Images: views by size, channels and whether they are drawings; ResNet-8 or ResNet-18 by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from likewise.data import arrays, builtin, datasets, images
from likewise.data.files import File
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Source
from likewise.encoders import default_image_encoder, image_encoder
from likewise.evaluation import ComputeSettings
from likewise.evaluation.features import RawFeatures, raw_features
from likewise.modalities.base import Modality, TrainingSetup, default_batch_size
from likewise.runs.declared import check_arguments
from likewise.views import ImageViews, drawn, preset

if TYPE_CHECKING:
    from likewise.training.recipe import Recipe


class ImageModality(Modality):
    """Named sets, folders of image files, arrays, and datasets of other libraries that hold images."""

    name = "image"
    nouns = ("image", "images")
    accepts = (
        f"{', '.join(builtin.SETS)}; a folder of images; a .npy or .npz file, an array or tensor in memory, or a pair "
        "(images, labels) of them; a torch or Hugging Face dataset"
    )
    suffixes = images.SUFFIXES
    column_names = ("image", "img", "photo", "picture")
    recipe_fields = ("size", "channels")

    def open_source(self, request: Request) -> Source | None:
        for kind in (builtin, images, arrays):
            source = kind.open_source(request)
            if source is not None:
                return source
        return None

    def open_dataset(self, request: Request) -> Source | None:
        return datasets.open_source(request)

    def open_files(self, folder: Path, files: list[File], name: str, request: Request) -> tuple[Source, list[int]]:
        size, channels = request.read_options.size, request.read_options.channels
        source = images.ImageFolder(folder, files, name=name, size=size, channels=channels, progress=request.progress)
        return source, list(range(len(source)))

    def setup(
        self, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None
    ) -> TrainingSetup:
        source = source.fitted(ReadOptions(size=recipe.size, channels=recipe.channels))
        _, channels, height, width = source.read(torch.tensor([0])).shape
        size = recipe.size or max(height, width)
        name = default_image_encoder(size, accelerated=accelerated) if recipe.encoder == "auto" else recipe.encoder
        ops: Iterable[Any] = recipe.augment
        if isinstance(recipe.augment, str):
            some = source.read(torch.linspace(0, len(source) - 1, min(64, len(source))).long())
            ops = preset(recipe.augment, size=size, channels=channels, symbols=channels == 1 or drawn(some))
        views = ImageViews(ops, size=size, channels=channels)
        resolved = dataclasses.replace(
            recipe,
            size=size,
            channels=channels,
            encoder=name,
            augment=recipe.augment if isinstance(recipe.augment, str) else views.config()["ops"],
            batch_size=recipe.batch_size or default_batch_size(len(source), accelerated=accelerated),
        )
        return TrainingSetup(resolved, source, views, lambda: image_encoder(name, channels=channels, size=size))

    def unpack(self, config: dict[str, Any], folder: Path) -> ImageViews:
        check_arguments(ImageViews, config, "views")
        return ImageViews.from_config(config)

    def encoder(self, **config: Any) -> nn.Module:
        check_arguments(image_encoder, config, "encoder")
        return image_encoder(**config)

    def read_options(self, views: ImageViews) -> dict[str, Any]:
        return {"size": views.size, "channels": views.channels}

    def baseline(self, views: ImageViews, compute: ComputeSettings, train: Source) -> RawFeatures:
        return RawFeatures("pixels", raw_features(views, compute))
