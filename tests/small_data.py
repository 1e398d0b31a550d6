"""A little data of every modality that every install has, as `likewise.pretrain` takes it."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from typing import Any

import numpy as np
import torch

import likewise as lw
from likewise.data.open import open_source
from likewise.data.pairs import PairSource
from likewise.data.source import Subset
from likewise.data.text import TextSource
from likewise.methods import method_class, method_options

THINGS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("a child", "my neighbour", "the old clerk", "somebody in a hurry", "nobody we know")
SAMPLE_RATE = 2000
PITCHES = {"a": 150, "b": 250, "c": 400, "d": 650}


def sentences(count: int, seed: int = 0) -> list[str]:
    """Two clauses about one number each, that go on from each other."""
    random = np.random.default_rng(seed)
    numbers, speakers = random.integers(10, size=count), random.integers(len(SPEAKERS), size=(2, count))
    return [
        f"{SPEAKERS[one]} wrote the digit {THINGS[n]} on paper and {SPEAKERS[other]} read it as {THINGS[(n + 1) % 10]}"
        for n, one, other in zip(numbers, *speakers, strict=True)
    ]


def recordings(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[int]]:
    """Half-second notes, each with the overtones of its class, at any pitch and loudness, with noise."""
    random = np.random.default_rng(seed)
    overtones = np.random.default_rng(99).random((4, 6)) ** 3
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    notes, classes = [], [i % 4 for i in range(count)]
    for timbre in classes:
        waves = np.sin(2 * np.pi * random.uniform(80, 160) * np.arange(1, 7)[:, None] * time)
        note = random.uniform(0.2, 0.6) * (overtones[timbre] @ waves) / overtones[timbre].sum()
        notes.append((note + 0.02 * random.standard_normal(len(time))).astype(np.float32))
    return notes, classes


def tones(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Recordings of tones that spell words of a, b, c and d, a pitch for each, and what they spell."""
    random = np.random.default_rng(seed)
    waves, texts = [], []
    for _ in range(count):
        words = ["".join(random.choice(list(PITCHES), random.integers(1, 4))) for _ in range(random.integers(1, 3))]
        texts.append(" ".join(words))
        parts = [np.zeros(100)]
        for letter in texts[-1]:
            time = np.arange(random.integers(200, 300)) / SAMPLE_RATE
            tone = 0.5 * np.sin(2 * np.pi * PITCHES.get(letter, 0) * random.uniform(0.97, 1.03) * time)
            parts.append(tone * np.hanning(len(time)))
        wave = np.concatenate([*parts, np.zeros(100)])
        waves.append((wave + 0.01 * random.standard_normal(len(wave))).astype(np.float32))
    return waves, texts


def digits_and_names(count: int = 512) -> Subset:
    """Pictures of digits and what they are called."""
    digits = open_source("digits:train")
    names = [f"the number {THINGS[label]} written by hand" for label in digits.labels().tolist()]
    pairs = PairSource([digits, TextSource(names, name="names", progress=False)], ["image", "text"], name="digits")
    return Subset(pairs, torch.arange(count))


@cache
def training_data(method: str) -> tuple[Any, dict[str, Any]]:
    """Data that the method learns from, and what else `likewise.pretrain` must be told of it."""
    modality = method_class(method).modality
    if modality == "text":
        return sentences(512), {"max_tokens": 32, "vocab_size": 200}
    if modality == "audio":
        return recordings(512)[0], {"sample_rate": SAMPLE_RATE, "seconds": 0.4}
    if modality == "pair":
        return digits_and_names(), {"max_tokens": 16, "vocab_size": 200}
    return "digits", {"teacher": small_teacher()} if "teacher" in method_options(method) else {}


@cache
def small_teacher() -> str:
    """A run on digits, for methods that learn from another encoder."""
    folder = tempfile.TemporaryDirectory(prefix="teacher")
    atexit.register(folder.cleanup)
    how: dict[str, Any] = {"encoder": "resnet8", "epochs": 1, "precision": "32-true", "progress": False}
    return str(lw.pretrain("digits", out=f"{folder.name}/run", **how).path)
