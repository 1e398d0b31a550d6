"""Recordings: crops of waveforms; a ResNet on log-mel spectrograms by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import nn

from likewise.data import audio, shard_sounds
from likewise.data.addresses import may_hold_shards
from likewise.data.files import File
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Source
from likewise.encoders.audio import audio_encoder
from likewise.encoders.folder import FOLDER, check_within_run
from likewise.encoders.folder_audio import sound_preprocessing
from likewise.evaluation import ComputeSettings
from likewise.evaluation.features import RawFeatures
from likewise.evaluation.mel import mel_features
from likewise.evaluation.segments import segment_table
from likewise.modalities.base import EvaluationInputs, Modality, TrainingSetup, default_batch_size
from likewise.modalities.weights import build_known
from likewise.runs.declared import check_arguments
from likewise.runs.table import Table
from likewise.views.audio import AudioViews, audio_preset

if TYPE_CHECKING:
    from likewise.training.recipe import Recipe

SECONDS = 1.0


class AudioModality(Modality):
    """Folders and tables of sound files, and waveforms in memory."""

    name = "audio"
    default_method = "cola"
    nouns = ("recording", "recordings")
    accepts = (
        "a folder of recordings, a table or list of their paths, a list of 1-D arrays with sample_rate, "
        "or a pair (list, labels)"
    )
    suffixes = audio.SUFFIXES
    column_names = ("audio", "sound", "recording")
    smaller_encoders: ClassVar[Mapping[str, str]] = {"mel-resnet18": "mel-resnet8"}
    recipe_fields = ("sample_rate", "seconds")

    def recognises(self, path: Path) -> bool:
        return audio.recognises(path)

    def open_source(self, request: Request) -> Source | None:
        source = audio.open_source(request)
        return shard_sounds.open_source(request) if source is None and may_hold_shards(request) else source

    def open_files(self, folder: Path, files: list[File], name: str, request: Request) -> tuple[Source, list[int]]:
        rate, progress = request.read_options.sample_rate, request.progress
        source = audio.from_files(
            folder, files, (), lambda _: ([], "no labels"), name=name, progress=progress, sample_rate=rate
        )
        recordings = source.recordings.numpy()
        return source, np.searchsorted(recordings, np.unique(recordings)).tolist()

    def setup(
        self, source: Source, recipe: Recipe, *, accelerated: bool, run_folder: Path | None = None
    ) -> TrainingSetup:
        known_rate = None
        if recipe.encoder.startswith(FOLDER) and recipe.sample_rate is None:
            known_rate = sound_preprocessing(recipe.encoder).sample_rate
        source = source.fitted(ReadOptions(sample_rate=recipe.sample_rate or known_rate))
        rate = audio.source_sample_rate(source)
        seconds = recipe.seconds or SECONDS
        ops = audio_preset(recipe.augment) if isinstance(recipe.augment, str) else recipe.augment
        views = AudioViews(sample_rate=rate, seconds=seconds, ops=ops)
        default = "mel-resnet18" if accelerated else "mel-resnet8"
        name = default if recipe.encoder == "auto" else recipe.encoder
        resolved = dataclasses.replace(
            recipe,
            sample_rate=rate,
            seconds=seconds,
            encoder=name,
            augment=recipe.augment if isinstance(recipe.augment, str) else views.config()["ops"],
            batch_size=recipe.batch_size or default_batch_size(len(source), accelerated=accelerated),
        )
        build = partial(build_known, audio_encoder, name, recipe, kept=run_folder, sample_rate=rate, seconds=seconds)
        return TrainingSetup(resolved, source, views, build)

    def unpack(self, config: dict[str, Any], folder: Path) -> AudioViews:
        check_arguments(AudioViews, config, "views")
        return AudioViews.from_config(config)

    def encoder(self, **config: Any) -> nn.Module:
        check_arguments(audio_encoder, config, "encoder")
        check_within_run(config["name"], config.get("architecture"))
        return audio_encoder(**config)

    def read_options(self, views: AudioViews) -> dict[str, Any]:
        return {"sample_rate": views.sample_rate}

    def baseline(self, views: AudioViews, compute: ComputeSettings, train: Source) -> RawFeatures:
        return RawFeatures("log-mel", mel_features(views, compute))

    def measure(self, inputs: EvaluationInputs) -> list[Table]:
        """Finding other parts of the same recording."""
        views, compute = inputs.views, inputs.compute
        embedders = {
            name: lambda crop, encoder=encoder: compute.forward(encoder, views.clean(crop.to(compute.device)))
            for name, encoder in inputs.encoders().items()
        }
        table = segment_table(
            inputs.test,
            audio.num_samples(inputs.test),
            embedders,
            sample_rate=views.sample_rate,
            seconds=views.seconds,
        )
        return [] if table is None else [table]
