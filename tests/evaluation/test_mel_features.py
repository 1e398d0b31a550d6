from __future__ import annotations

import torch
from torch import Tensor

from likewise.data.batches import Ragged
from likewise.data.source import Source
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.mel import mel_features, mel_statistics
from likewise.views.mel import log_mel

RATE = 4000


def tone(hertz: float, seconds: float) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return (8000 * torch.sin(2 * torch.pi * hertz * time)).to(torch.int16)


class Tones(Source):
    """Three recordings of a second."""

    modality, name, classes, skipped, ids = "audio", "tones", [], [], ["0", "1", "2"]

    def __init__(self) -> None:
        self.batch = Ragged.of([tone(hertz, 1) for hertz in (200, 250, 310)])

    def __len__(self) -> int:
        return 3

    def labels(self) -> Tensor:
        raise AssertionError("no labels are needed")

    def read(self, indices: Tensor) -> Ragged:
        return Ragged.of([self.batch.values[i] for i in indices.tolist()])


def test_mel_statistics_are_mean_and_deviation_of_each_band() -> None:
    waves = torch.stack([tone(300, 0.5), tone(900, 0.5)]).float() / 2**15
    features = mel_statistics(waves, RATE)
    assert features.shape == (2, 128)
    for wave, row in zip(waves, features, strict=True):
        frames = log_mel(wave[None], RATE, 64)[0].double()
        mean = frames.sum(1) / frames.shape[1]
        deviation = ((frames - mean[:, None]) ** 2).sum(1).div(frames.shape[1]).sqrt()
        torch.testing.assert_close(row.double(), torch.cat([mean, deviation]), atol=1e-4, rtol=1e-4)


def test_mel_features_are_of_the_clean_view() -> None:
    class Views:
        sample_rate = RATE

        def clean(self, batch: Ragged) -> Tensor:
            return batch.values[:, 500:2500].float() / 2**15

    source = Tones()
    features = mel_features(Views(), ComputeSettings(torch.device("cpu")))(source, torch.tensor([2, 0]))
    expected = [mel_statistics(source.batch.values[i][None, 500:2500].float() / 2**15, RATE) for i in (2, 0)]
    torch.testing.assert_close(features, torch.cat(expected))
