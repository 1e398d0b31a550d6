"""Images: views by size, channels and whether they are drawings; ResNet-8 or ResNet-18 by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from likewise.checks import check_choice
from likewise.data import arrays, builtin, datasets, images, pictures
from likewise.data.addresses import may_hold_shards
from likewise.data.files import File, mostly_recordings
from likewise.data.levels import source_range
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Source
from likewise.encoders import default_image_encoder, image_encoder
from likewise.encoders.folder import FOLDER, check_within_run
from likewise.encoders.folder_image import image_preprocessing
from likewise.encoders.image import RESNET8_UP_TO
from likewise.evaluation import ComputeSettings
from likewise.evaluation.features import RawFeatures, raw_features
from likewise.modalities.base import Modality, TrainingSetup, default_batch_size
from likewise.modalities.weights import build_known, normalization_of
from likewise.runs.declared import check_arguments
from likewise.views import ImageViews, drawn, mirrored_alike, placed_alike, preset
from likewise.views.presets import PRESETS, parts

if TYPE_CHECKING:
    from likewise.training.recipe import Recipe

PLACED_FROM = 24  # px: smaller images have too few places in a feature map
COMPARED, LOOKED_AT = 512, 64  # images that say whether they are photographs or symbols: of one channel, of others
MEASURED = 256  # images whose mean and deviation are those of the normalisation
LEAST_DEVIATION = 0.01  # of a channel that is all but constant


class ImageModality(Modality):
    """Named sets, folders of image files, arrays, and datasets of other libraries that hold images."""

    name = "image"
    nouns = ("image", "images")
    accepts = (
        f"{', '.join(builtin.SETS)}; a folder of images, or a table or list of their paths; a .npy or .npz file, "
        "an array or tensor in memory, or a pair (images, labels) of them; a torch or Hugging Face dataset; shards"
    )
    suffixes = images.SUFFIXES
    column_names = ("image", "img", "photo", "picture")
    smaller_encoders: ClassVar[Mapping[str, str]] = {"resnet18": "resnet8"}
    recipe_fields = ("size", "channels", "pool_grid", "zero_init_residual")
    view_fields = ("start_size", "augment_second", "augment_local")
    read_fields = ("range",)

    def usual_method(self, source: Source, recipe: Recipe) -> tuple[str, str]:
        source, _ = _fitted(source, recipe)
        if PLACED_FROM <= max(source.read(torch.tensor([0])).shape[2:]) <= RESNET8_UP_TO:
            images = _some(source, COMPARED)
            # Clothes gain by it; of written digits, which mirroring changes, SimCLR knows more.
            if placed_alike(images) and mirrored_alike(images):
                return "contrastive-autoencoder", "small images of one thing in the same place"
        return super().usual_method(source, recipe)

    def recognises(self, path: Path) -> bool:
        return pictures.recognises(path)

    def may_hold(self, folder: Path) -> bool:
        return not mostly_recordings(folder)

    def open_source(self, request: Request) -> Source | None:
        for kind in (builtin, images, arrays):
            source = kind.open_source(request)
            if source is not None:
                return source
        if isinstance(request.data, Path) and request.data.is_file():
            from likewise.data import image_tables  # loads Arrow, which no other images need

            if (source := image_tables.open_source(request)) is not None:
                return source
        if may_hold_shards(request):
            from likewise.data import shard_images

            return shard_images.open_source(request)
        return None

    def open_dataset(self, request: Request) -> Source | None:
        return datasets.open_source(request)

    def open_files(self, folder: Path, files: list[File], name: str, request: Request) -> tuple[Source, list[int]]:
        asked = request.read_options
        how: dict[str, Any] = {"size": asked.size, "channels": asked.channels, "range": asked.range}
        source = images.ImageFolder(folder, files, name=name, progress=request.progress, **how)
        return source, list(range(len(source)))

    def setup(
        self, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None
    ) -> TrainingSetup:
        source, asked = _fitted(source, recipe)
        _, channels, height, width = source.read(torch.tensor([0])).shape
        size = asked or max(height, width)
        name = default_image_encoder(size, accelerated=accelerated) if recipe.encoder == "auto" else recipe.encoder
        augment, second, local = recipe.augment, recipe.augment_second, recipe.augment_local
        check_choice(PRESETS, augment_second=second if isinstance(second, str) else None)
        check_choice(PRESETS, augment_local=local if isinstance(local, str) else None)
        symbols = None
        if any(isinstance(each, str) for each in (augment, second, local)):
            # One channel may be a photograph or a symbol, and black around clothes is as flat as a drawing.
            count, are_symbols = (COMPARED, _not_mirrored) if channels == 1 else (LOOKED_AT, drawn)
            symbols = are_symbols(_some(source, count))
        named = partial(preset, size=size, channels=channels, symbols=symbols)
        ops: Any = named(augment) if isinstance(augment, str) else augment
        second_ops: Any = named(second) if isinstance(second, str) else second
        local_ops: Any = parts(named(local)) if isinstance(local, str) else local
        found = source_range(source)
        usual = channels in (1, 3) and found is None
        mean, std = (None, None) if usual else statistics(source)
        normalization = {"mean": mean, "std": std} | normalization_of(recipe, name, channels, kept=run_folder)
        views = ImageViews(
            ops, size=size, channels=channels, second=second_ops, local=local_ops, range=found, **normalization
        )
        written = views.config()
        resolved = dataclasses.replace(
            recipe,
            size=size,
            channels=channels,
            encoder=name,
            pool_grid=recipe.pool_grid or 1,
            augment=written["ops"] if isinstance(augment, list) else augment,
            augment_second=written["second"] if isinstance(second, list) else second,
            augment_local=written["local"] if isinstance(local, list) else local,
            batch_size=recipe.batch_size or default_batch_size(len(source), accelerated=accelerated),
        )
        shape: dict[str, Any] = {"channels": channels, "size": size, "pool_grid": resolved.pool_grid}
        if recipe.zero_init_residual:
            shape["zero_init_residual"] = True
        build = partial(build_known, image_encoder, name, recipe, kept=run_folder, **shape)
        return TrainingSetup(resolved, source, views, build)

    def unpack(self, config: dict[str, Any], folder: Path) -> ImageViews:
        check_arguments(ImageViews, config, "views")
        return ImageViews.from_config(config)

    def encoder(self, **config: Any) -> nn.Module:
        check_arguments(image_encoder, config, "encoder")
        check_within_run(config["name"], config.get("architecture"))
        return image_encoder(**config)

    def read_options(self, views: ImageViews) -> dict[str, Any]:
        known = {"size": views.size, "channels": views.channels}
        return known if views.range is None else known | {"range": views.range}

    def baseline(self, views: ImageViews, compute: ComputeSettings, train: Source) -> RawFeatures:
        return RawFeatures("pixels", raw_features(views, compute))


def _fitted(source: Source, recipe: Recipe) -> tuple[Source, int | None]:
    """The images as a training takes them, and the size in pixels that is asked for, by the recipe or the encoder."""
    known_size = image_preprocessing(recipe.encoder).size if recipe.encoder.startswith(FOLDER) else None
    asked = recipe.size or known_size
    return source.fitted(ReadOptions(size=asked, channels=recipe.channels)), asked


def _some(source: Source, count: int) -> UInt8[Tensor, "n c h w"]:
    """Up to `count` images spread over a source."""
    return source.read(torch.linspace(0, len(source) - 1, min(count, len(source))).long())


def _not_mirrored(images: UInt8[Tensor, "n 1 h w"]) -> bool:
    return not mirrored_alike(images)


def statistics(source: Source) -> tuple[list[float], list[float]]:
    """The mean and the deviation of each channel, in [0, 1], of up to 256 images spread over a source."""
    sums = torch.zeros(2, source.read(torch.tensor([0])).shape[1], dtype=torch.float64)
    some = torch.linspace(0, len(source) - 1, min(MEASURED, len(source))).long()
    for index in some:
        levels = source.read(index[None])[0].double().flatten(1) / 255
        sums += torch.stack([levels.mean(1), levels.square().mean(1)])
    mean, square = sums / len(some)
    return mean.tolist(), (square - mean.square()).clamp(min=LEAST_DEVIATION**2).sqrt().tolist()
