"""Runs on samples that are read, heard, or come in pairs, their files written by what writes those of real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fake_run import fake_run, protocol_details
from sklearn.datasets import load_digits
from torch import Tensor

from likewise.data.batches import Parts
from likewise.data.source import Source
from likewise.evaluation.distinct_pairs import DistinctPairs
from likewise.evaluation.matches import retrieval_matches
from likewise.runs.figures import Figure, FigureRow, Figures
from likewise.runs.gallery import Gallery
from likewise.runs.pairs import Pairs
from likewise.runs.samples import clean_samples
from likewise.seeding import generator_for

SECTIONS = ["games", "science", "sound"]
WORDS = {
    "games": "a puzzle game where marbles roll through tiles and the player turns switches to open gates in time",
    "science": "library of routines to solve sparse linear systems and to fit models of measured spectra quickly",
    "sound": "plugin that filters delays and mixes several recorded tracks and writes them to compressed files",
}
VOCABULARY = sorted({word for text in WORDS.values() for word in text.split()})
NAMES = "zero one two three four five six seven eight nine".split()


class Documents:
    """Views of token ids: a random one is without some of them; 0 is padding, also of what was deleted."""

    def __init__(self, delete: float = 0.2, vocab_size: list[str] = VOCABULARY) -> None:
        self.delete, self.vocab_size = delete, vocab_size

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch * (torch.rand(batch.shape, generator=generator) >= self.delete)

    def clean(self, batch: Tensor) -> Tensor:
        return batch

    def texts(self, view: Tensor) -> list[str]:
        return [" ".join(self.vocab_size[i - 1] for i in row if i) for row in view.tolist()]


class Pictures:
    """Views of bytes: a random one is darker or lighter."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch * torch.empty(len(batch), 1, 1, 1).uniform_(0.5, 1, generator=generator)

    def clean(self, batch: Tensor) -> Tensor:
        return batch.float()

    def picture(self, view: Tensor) -> Tensor:
        return view.round().to(torch.uint8)


class Recordings:
    """Views of int16: a random one is louder or softer. Pictures are spectrograms."""

    sample_rate = 8000

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch / 32768 * torch.empty(len(batch), 1).uniform_(0.3, 1, generator=generator)

    def clean(self, batch: Tensor) -> Tensor:
        return batch / 32768

    def picture(self, view: Tensor) -> Tensor:
        spectrum = torch.stft(view, 128, 80, window=torch.hann_window(128), return_complex=True).abs()
        level = (spectrum + 1e-4).log10().add(4).div(6).clamp(0, 1)
        return (255 * level.flip(1)).round().to(torch.uint8)[:, None]

    def sounds(self, view: Tensor) -> Tensor:
        return (view * 32767).round().to(torch.int16)


class InParts:
    """Views of samples in parts."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __call__(self, batch: Parts, generator: torch.Generator) -> Parts:
        return Parts(tuple(views(part, generator) for views, part in zip(self.parts, batch.parts, strict=True)))

    def clean(self, batch: Parts) -> Parts:
        return Parts(tuple(views.clean(part) for views, part in zip(self.parts, batch.parts, strict=True)))


class Samples(Source):
    """Samples in memory."""

    modality, name = "pair", "digits.csv"

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, indices: Tensor) -> Any:
        return self.samples[indices]


def documents(count: int) -> tuple[Tensor, np.ndarray]:
    """Token ids of shuffled words of the sections in turn, and the sections."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % len(SECTIONS)
    texts = [rng.permutation(WORDS[SECTIONS[label]].split())[: 6 + n % 9] for n, label in enumerate(labels)]
    ids = torch.zeros(count, 14, dtype=torch.long)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = torch.tensor([VOCABULARY.index(word) + 1 for word in text])
    return ids, labels


def recordings(count: int, samples: int = 8000) -> tuple[Tensor, np.ndarray]:
    """Tones that rise, fall or stay, and which."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    seconds = np.arange(samples) / 8000
    bend = np.array([400.0, -400.0, 0.0])[labels][:, None]
    phase = 2 * np.pi * (rng.uniform(600, 1500, (count, 1)) * seconds + bend * seconds**2)
    waves = 0.4 * np.sin(phase) + 0.02 * rng.normal(size=phase.shape)
    return torch.from_numpy((waves * 32767).astype(np.int16)), labels


def captioned(count: int) -> tuple[Parts, np.ndarray]:
    """Digits with a caption, and which digits."""
    digits = load_digits()
    pictures = torch.from_numpy((digits.images[:count] / 16 * 255).astype(np.uint8))[:, None]
    named = torch.from_numpy(digits.target[:count])
    captions = torch.stack([torch.full_like(named, 11), torch.full_like(named, 12), named + 1], dim=1)
    return Parts((pictures, captions)), digits.target[:count]


CAPTIONS = Documents(0.0, [*NAMES, "the", "digit"])


def text_run(folder: Path, *, delete: float = 0.2) -> Path:
    """Documents, few labels and a table of perplexities, and what a method made of masked words."""
    ids, labels = documents(60)
    views = Documents(delete)
    _begin(folder, "text", "descriptions.csv", SECTIONS, ("evaluation",))
    facts = json.loads((folder / "evaluation.json").read_text()) | {"tables": [PERPLEXITY]}
    facts |= {"raw": "TF-IDF", "protocol_details": protocol_details(facts["protocols"], "TF-IDF")}
    (folder / "evaluation.json").write_text(json.dumps(facts))
    _keep(folder, views, ids, labels, SECTIONS)
    shown = views.texts(ids[:4])
    rows = [
        FigureRow("text", texts=shown),
        FigureRow("seen", texts=[text.replace(" and ", " [MASK] ") for text in shown]),
        FigureRow("right", texts=["2 of 2 ✓", "0 of 1 ✗", "none", "1 of 1 ✓"]),
    ]
    Figures([Figure("What words are missing?", "A seventh is hidden.", rows)]).save(folder)
    return folder


def audio_run(folder: Path) -> Path:
    """Recordings, and few labels."""
    waves, labels = recordings(24)
    views = Recordings()
    classes = ["rising", "falling", "level"]
    _begin(folder, "audio", "tones/", classes, ("evaluation",))
    facts = json.loads((folder / "evaluation.json").read_text())
    facts |= {"raw": "log-mel", "protocol_details": protocol_details(facts["protocols"], "log-mel")}
    (folder / "evaluation.json").write_text(json.dumps(facts))
    _keep(folder, views, waves, labels, classes)
    row = FigureRow("heard", views.picture(views.clean(waves[:3])), ["a", "b", "c"], waves[:3], views.sample_rate)
    Figures([Figure("What was heard", "Three of them.", [row])]).save(folder)
    return folder


def pair_run(folder: Path) -> Path:
    """Digits and their names: no labels, but tables and matches."""
    batch, _ = captioned(60)
    views = InParts(Pictures(), CAPTIONS)
    _begin(folder, "pair", "digits.csv", [], ())
    facts = {"test": "digits.csv:test", "samples": {"test": 60}, "tables": [RETRIEVAL, PERPLEXITY]}
    (folder / "evaluation.json").write_text(json.dumps(facts))
    _keep(folder, views, batch, None, [])
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(10, 16, generator=generator)
    named = batch.parts[1][:, 2] - 1
    first, second = (centres[named] + 1.2 * torch.randn(60, 16, generator=generator) for _ in range(2))
    names = ("image", "text")
    every = torch.arange(60)
    pairs = DistinctPairs(every, every, every[:, None].repeat(1, 2), (named[:, None] == named).nonzero())
    retrieval_matches(Samples(batch), views, first, second, names=names, pairs=pairs).save(folder)
    return folder


PERPLEXITY = {
    "title": "next token",
    "caption": "perplexity over 12,345 tokens",
    "head": ["model", "perplexity", "bits per character"],
    "units": ["", "", ""],
    "rows": [["trained", 41.27, 1.934], ["two tokens", 1203.4, 2.6], ["one token", 950.0, None]],
}
RETRIEVAL = {
    "title": "image and text: finding one by the other",
    "caption": "60 pairs, each half looked up among all of its kind",
    "head": ["looked up", "by", "recall@1", "recall@5", "mean reciprocal rank", "median rank"],
    "units": ["", "", "%", "%", "", ""],
    "rows": [
        ["image → text", "trained", 0.4333, 0.7, 0.5512, 2.0],
        ["image → text", "untrained", 0.05, 0.8, 0.09, 24.0],
        ["image → text", "chance", 0.0167, 0.0833, 0.0781, 30.0],
        ["text → image", "trained", 0.35, 0.65, 0.48, 3.0],
        ["text → image", "untrained", 0.0333, 0.1, 0.08, 25.0],
        ["text → image", "chance", 0.0167, 0.0833, 0.0781, 30.0],
    ],
}


def _begin(folder: Path, modality: str, name: str, classes: list[str], more: tuple[str, ...]) -> None:
    fake_run(folder, parts=("config", "metrics", "chance", "snapshots", *more), classes=classes or None, seeds=2)
    config = json.loads((folder / "config.json").read_text())
    config["source"] = {"name": name, "samples": 4321, "modality": modality}
    (folder / "config.json").write_text(json.dumps(config))


def _keep(folder: Path, views: Any, batch: Any, labels: np.ndarray | None, classes: list[str]) -> None:
    Pairs.of(views, batch[torch.arange(8)], generator_for(0)).save(folder)
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(batch), 16)).astype(np.float32)
    if labels is not None:
        embeddings += 3 * rng.normal(size=(10, 16)).astype(np.float32)[labels]
    Gallery(
        samples=clean_samples(views, [batch[rows] for rows in torch.arange(len(batch)).split(32)]),
        embeddings=embeddings,
        ids=[f"sample {n}" for n in range(len(batch))],
        labels=None if labels is None else labels.astype(np.int64),
        classes=classes,
    ).save(folder)
