"""The log-mel spectrogram against a Fourier transform written out."""

import math

import numpy as np
import pytest
import torch

from likewise.views.mel import filterbank, log_mel, mfcc


def naive(wave: np.ndarray, sample_rate: int, bands: int, length: int) -> np.ndarray:
    """Frame by frame, frequency by frequency, band by band, in float64."""
    window, hop = round(0.025 * sample_rate), round(0.010 * sample_rate)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    hertz = np.arange(length // 2 + 1) * sample_rate / length
    mel = 2595 * math.log10(1 + sample_rate / 2 / 700)
    edges = [700 * (10 ** (i * mel / (bands + 1) / 2595) - 1) for i in range(bands + 2)]
    padded = np.concatenate([np.zeros(length), wave, np.zeros(length)])
    out = np.zeros((bands, 1 + len(wave) // hop))
    for frame in range(out.shape[1]):
        # A window shorter than the transform lies in its middle.
        first = length + frame * hop - length // 2 + (length - window) // 2
        piece = padded[first : first + window] * hann
        power = np.array(
            [abs((piece * np.exp(-2j * np.pi * k * np.arange(window) / length)).sum()) ** 2 for k in range(len(hertz))]
        )
        for band in range(bands):
            low, centre, high = edges[band : band + 3]
            weights = np.maximum(0, np.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)))
            out[band, frame] = math.log(1e-6 + (weights * power).sum() / weights.sum())
    return out


@pytest.mark.parametrize(
    ("sample_rate", "bands", "length"), [(8000, 64, 256), (16_000, 64, 512), (11_025, 20, 512), (8000, 200, 1024)]
)
def test_as_written_out(sample_rate: int, bands: int, length: int) -> None:
    waves = torch.randn(2, round(0.043 * sample_rate), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    waves[1] = (torch.arange(waves.shape[1]) * 2 * torch.pi * 440 / sample_rate).sin() * 1e-3
    assert filterbank(sample_rate, bands)[0] == length
    ours = log_mel(waves, sample_rate, bands)
    for wave, row in zip(waves, ours, strict=True):
        reference = naive(wave.numpy(), sample_rate, bands, length)
        assert row.shape == reference.shape
        assert np.abs(row.numpy() - reference).max() < 1e-7
    assert (log_mel(waves.float(), sample_rate, bands) - ours)[0].abs().max() < 1e-3


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("hertz", [150, 440, 1000, 3000])
def test_a_tone_is_loudest_in_its_band(sample_rate: int, hertz: int) -> None:
    wave = (torch.arange(sample_rate) * 2 * torch.pi * hertz / sample_rate).sin()[None]
    expected = 65 * math.log1p(hertz / 700) / math.log1p(sample_rate / 1400) - 1
    loudest = log_mel(wave, sample_rate)[0].mean(1).argmax().item()
    assert abs(loudest - expected) <= 1


@pytest.mark.parametrize("bands", [1, 13, 64, 128])
@pytest.mark.parametrize("sample_rate", [1000, 8000, 48_000])
def test_every_band_has_a_frequency(sample_rate: int, bands: int) -> None:
    _, weights = filterbank(sample_rate, bands)
    assert weights.min() == 0
    assert torch.allclose(weights.sum(1), torch.ones(bands, dtype=torch.float64))


def test_silence_is_the_floor_and_short_waves_have_a_frame() -> None:
    assert torch.allclose(log_mel(torch.zeros(3, 1), 8000), torch.full((3, 64, 1), math.log(1e-6)))


def test_under_autocast_it_stays_exact_and_has_a_gradient() -> None:
    waves = torch.randn(1, 800, generator=torch.Generator().manual_seed(0)).requires_grad_()
    expected = log_mel(waves, 8000)
    with torch.autocast("cpu", torch.bfloat16):
        ours = log_mel(waves, 8000)
    assert torch.equal(ours, expected)
    ours.sum().backward()
    assert waves.grad.abs().max() > 0


@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_mfcc_as_written_out(sample_rate: int) -> None:
    waves = torch.randn(2, round(0.083 * sample_rate), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = mfcc(waves, sample_rate)
    bands = log_mel(waves, sample_rate, 40)
    frames = bands.shape[2]
    assert ours.shape == (2, 39, frames)
    for i in range(2):
        cepstrum = [
            [
                math.sqrt((1 if k == 0 else 2) / 40)
                * sum(bands[i, b, t].item() * math.cos(math.pi * k * (b + 0.5) / 40) for b in range(40))
                for t in range(frames)
            ]
            for k in range(13)
        ]
        rows = [*cepstrum]
        for _ in range(2):
            before, after = rows[-13:], []
            for row in before:
                at = [row[min(max(t, 0), frames - 1)] for t in range(-2, frames + 2)]
                after.append([sum(s * at[t + 2 + s] for s in range(-2, 3)) / 10 for t in range(frames)])
            rows += after
        assert np.abs(ours[i].numpy() - np.array(rows)).max() < 1e-10
