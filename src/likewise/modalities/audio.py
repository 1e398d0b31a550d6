"""Recordings: crops of waveforms, and a ResNet on log-mel spectrograms unless told otherwise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Int
from torch import Tensor

from likewise.data.read_options import ReadOptions
from likewise.data.source import Joined, Subset, fitted
from likewise.encoders.audio import audio_encoder
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.mel import mel_features
from likewise.evaluation.segments import segment_table
from likewise.modalities import Examined, Prepared
from likewise.runs.table import Table
from likewise.views.audio import AudioViews, audio_preset

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.evaluation import ComputeSettings
    from likewise.training.recipe import Recipe

SECONDS = 1.0

encoder = audio_encoder


def prepare(source: Source, recipe: Recipe, *, accelerated: bool, kept: Path | None = None) -> Prepared:
    source = fitted(source, ReadOptions(sample_rate=recipe.sample_rate))
    rate: int = sample_rate_of(source)
    seconds = recipe.seconds or SECONDS
    ops = audio_preset(recipe.augment) if isinstance(recipe.augment, str) else recipe.augment
    views = AudioViews(sample_rate=rate, seconds=seconds, ops=ops)
    augment = recipe.augment if isinstance(recipe.augment, str) else views.config()["ops"]
    default = "mel-resnet18" if accelerated else "mel-resnet8"
    name = default if recipe.encoder == "auto" else recipe.encoder
    batch = recipe.batch_size or min(256 if accelerated else 128, len(source))
    resolved = dataclasses.replace(
        recipe, sample_rate=rate, seconds=seconds, encoder=name, augment=augment, batch_size=batch
    )
    return Prepared(resolved, source, views, lambda: audio_encoder(name, sample_rate=rate, seconds=seconds))


def sample_rate_of(source: Any) -> int:
    """The rate of a source, or of the one that it is a part of."""
    while not hasattr(source, "sample_rate"):
        source = source.sources[0] if isinstance(source, Joined) else source.source
    return source.sample_rate


def lengths_of(source: Any) -> Int[Tensor, " len"]:
    """The samples of each recording."""
    if isinstance(source, Subset):
        return lengths_of(source.source)[source.indices]
    return (source.seconds * source.sample_rate).round().long()


def pack(views: AudioViews) -> tuple[dict[str, Any], dict[str, str]]:
    return views.config(), {}


def unpack(config: dict[str, Any], folder: Path) -> AudioViews:
    return AudioViews.from_config(config)


def read_options(views: AudioViews) -> dict[str, Any]:
    return {"sample_rate": views.sample_rate}


def baseline(views: AudioViews, compute: ComputeSettings, train: Source) -> RawFeatures:
    return RawFeatures("log-mel", mel_features(views, compute))


def examine(examined: Examined) -> list[Table]:
    """Finding other parts of the same recording."""
    views, compute = examined.views, examined.compute
    embedders = {
        name: lambda crop, encoder=encoder: compute.forward(encoder, views.clean(crop.to(compute.device)))
        for name, encoder in examined.encoders().items()
    }
    table = segment_table(
        examined.test,
        lengths_of(examined.test),
        embedders,
        sample_rate=views.sample_rate,
        seconds=views.seconds,
    )
    return [] if table is None else [table]
