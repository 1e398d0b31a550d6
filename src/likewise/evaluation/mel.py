"""Raw features of audio: mean and deviation over time of each band of the log-mel spectrogram."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.data.source import Source
from likewise.evaluation.features import Featurizer
from likewise.evaluation.inputs import ComputeSettings
from likewise.views.mel import log_mel

BANDS = 64


def mel_statistics(waves: Float[Tensor, "n samples"], sample_rate: int) -> Float[Tensor, "n dim"]:
    """Mean and standard deviation over time of each of 64 bands of the log-mel spectrogram: dim = 128."""
    bands = log_mel(waves, sample_rate, BANDS)
    return torch.cat([bands.mean(2), bands.std(2, correction=0)], dim=1)


def mel_features(views: Any, compute: ComputeSettings) -> Featurizer:
    """`mel_statistics` of clean views, which are waves of `views.sample_rate`: what an encoder takes."""

    def featurize(source: Source, indices: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        return mel_statistics(views.clean(source.read(indices).to(compute.device)), views.sample_rate)

    return featurize
