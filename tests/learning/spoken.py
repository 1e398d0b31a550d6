"""Spoken words to learn from: made of vowels and hisses, in any voice."""

from __future__ import annotations

import numpy as np

RATE = 8000
SOUNDS = {  # formants of vowels and the middle of the band of hisses, in Hz
    "a": (750, 1200, 2500),
    "e": (450, 1900, 2550),
    "i": (280, 2250, 2900),
    "o": (450, 850, 2450),
    "u": (310, 700, 2300),
    "s": 3400,
    "x": 1800,
}
WORDS = ("sai", "ias", "xou", "uox", "sex", "xes", "aui", "iua")
"""Each sound is in several words, and each word has one with the same sounds in the reverse order."""


def spoken(count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Half-second words and which one each is: pitch, voice, speed, loudness and background are random."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(WORDS)
    return [word(WORDS[label], rng) for label in labels], labels


def word(letters: str, rng: np.random.Generator) -> np.ndarray:
    samples = RATE // 2
    time = np.arange(samples) / RATE
    pitch = rng.uniform(90, 220) * (1 + rng.uniform(-0.15, 0.15) * time / time[-1])
    tract = rng.uniform(0.9, 1.15)  # short vocal tracts have high formants
    borders = np.cumsum(rng.uniform(0.7, 1.3, len(letters)))
    middles = (borders - np.diff(borders, prepend=0) / 2) / borders[-1]
    # How loud each sound is when: they pass over into each other.
    shares = np.exp(-(((time / time[-1] - middles[:, None]) / 0.13) ** 4))
    harmonics = np.arange(1, 30)[:, None] * pitch
    buzz = np.sin(2 * np.pi * np.cumsum(harmonics, axis=1) / RATE + rng.uniform(0, 2 * np.pi, (29, 1)))
    buzz[harmonics > RATE / 2] = 0
    wave = np.zeros(samples)
    for letter, share in zip(letters, shares, strict=True):
        peaks = SOUNDS[letter]
        if isinstance(peaks, int):
            spectrum = np.fft.rfft(rng.standard_normal(samples))
            hertz = np.fft.rfftfreq(samples, 1 / RATE)
            sound = np.fft.irfft(spectrum * np.exp(-(((hertz - peaks * tract) / 500) ** 2)), samples)
        else:
            resonance = sum(np.exp(-(((harmonics - peak * tract) / 120) ** 2)) / 2**i for i, peak in enumerate(peaks))
            sound = ((resonance + 0.02) * buzz).sum(0) * 0.1
        wave += share * sound
    wave += rng.uniform(0.01, 0.05) * wave.std() * rng.standard_normal(samples)
    return (wave / np.abs(wave).max() * rng.uniform(0.2, 0.9)).astype(np.float32)
