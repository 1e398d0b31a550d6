"""A little data of every modality as people have it: in files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from small_data import SAMPLE_RATE, THINGS, recordings, sentences, tones

LOW = THINGS[:5]
COLOURS = {"red": (220, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 220), "yellow": (220, 220, 30)}


def table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def lines(path: Path, texts: Iterable[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def section(text: str) -> str:
    """Which digit a sentence of `small_data` is about."""
    return "low" if any(f"wrote the digit {name} " in text for name in LOW) else "high"


def documents(path: Path, count: int, seed: int = 0) -> Path:
    """A table of sentences and of what their section is."""
    return table(path, ["text", "section"], [(text, section(text)) for text in sentences(count, seed)])


def notes(folder: Path, count: int, seed: int = 0) -> Path:
    """Recordings of half a second in a subfolder for each of four timbres."""
    for i, (wave, timbre) in enumerate(zip(*recordings(count, seed), strict=True)):
        path = folder / f"timbre {'abcd'[timbre]}" / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, SAMPLE_RATE)
    return folder


def spelled(folder: Path, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Recordings of tones that spell words, and what they spell: (name of the file, text)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, (wave, text) in enumerate(zip(*tones(count, seed), strict=True)):
        soundfile.write(folder / f"{i:02}.wav", wave, SAMPLE_RATE)
        rows.append((f"{i:02}.wav", text))
    return rows


def square(path: Path, colour: str, points: int, seed: int) -> None:
    """A picture of a square somewhere on white, with noise."""
    random = np.random.default_rng(seed)
    pixels = np.full((16, 16, 3), 255)
    x, y = random.integers(0, 16 - points, 2)
    pixels[y : y + points, x : x + points] = COLOURS[colour]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels - random.integers(0, 30, pixels.shape)).clip(0, 255).astype(np.uint8)).save(path)


def squares(folder: Path, count: int) -> list[tuple[str, str]]:
    """Pictures of squares and what each shows: (path from the folder's own place, caption)."""
    pairs = []
    for i in range(count):
        colour, points = list(COLOURS)[i % 4], 5 + i // 4 % 5
        square(folder / f"{i}.png", colour, points, seed=i)
        pairs.append((f"{folder.name}/{i}.png", f"a {colour} square of {THINGS[points]} points"))
    return pairs


def captioned(folder: Path, count: int) -> Path:
    """Squares with what each shows in a .txt file of the same name."""
    for path, caption in squares(folder, count):
        lines(folder.parent / Path(path).with_suffix(".txt"), [caption])
    return folder


def by_colour(folder: Path, count: int, seed: int) -> Path:
    """Squares without captions, in a subfolder for each colour."""
    for i in range(count):
        colour = list(COLOURS)[i % 4]
        square(folder / colour / f"{i}.png", colour, 5 + i // 4 % 5, seed=seed + i)
    return folder
