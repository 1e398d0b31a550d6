"""Sounds within the page, decoded again."""

from __future__ import annotations

import base64
import io
import wave

import numpy as np
import pytest

from likewise.report.sounds import MOST_SAMPLES, wav_uri


def decoded(uri: str) -> tuple[np.ndarray, int, int]:
    """Samples, rate and bytes a sample."""
    kind, data = uri.split(",")
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        assert file.getnchannels() == 1
        width = file.getsampwidth()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2" if width == 2 else np.uint8)
        return samples, file.getframerate(), width


def tone(count: int, rate: int, hertz: float = 200.0) -> np.ndarray:
    return np.round(20000 * np.sin(2 * np.pi * hertz * np.arange(count) / rate)).astype(np.int16)


@pytest.mark.parametrize("count", [0, 1, 1000, MOST_SAMPLES])
def test_a_short_sound_is_kept_to_the_bit(count: int) -> None:
    sound = np.random.default_rng(0).integers(-(2**15), 2**15, count).astype(np.int16)
    samples, rate, width = decoded(wav_uri(sound, 44100))
    assert (rate, width) == (44100, 2)
    assert np.array_equal(samples, sound)


@pytest.mark.parametrize(
    ("rate", "seconds", "kept"),
    [
        (16000, 5, (8000, 2)),
        (44100, 2, (22050, 2)),
        (32000, 7.5, (8000, 2)),
        (8000, 9, (8000, 1)),
        (16000, 9, (8000, 1)),
    ],
)
def test_a_long_sound_loses_rate_first_and_then_bits(rate: int, seconds: float, kept: tuple[int, int]) -> None:
    samples, new_rate, width = decoded(wav_uri(tone(int(rate * seconds), rate), rate))
    assert (new_rate, width) == kept
    assert len(samples) / new_rate == pytest.approx(seconds, abs=1e-3)
    level = samples if width == 2 else (samples.astype(int) - 128) * 256
    expected = tone(len(samples), new_rate)
    assert np.corrcoef(level, expected)[0, 1] > 0.98
    assert np.abs(level).max() == pytest.approx(20000, rel=0.03)
