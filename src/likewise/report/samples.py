"""How samples look on the page: pieces of a sheet of pictures, words, players of sounds, or several of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Int16, UInt8

from likewise.report.pictures import Sheet, picture_html, sheet
from likewise.report.sounds import wav_uri


@dataclass(frozen=True)
class Samples:
    """Samples that can be seen, read or heard: what they are not is None."""

    pictures: UInt8[np.ndarray, "n c h w"] | None = None
    words: list[str] | None = None
    sounds: Int16[np.ndarray, "n length"] | None = None
    sample_rate: int | None = None
    """Of the sounds, in Hz."""

    def __len__(self) -> int:
        return max(0 if part is None else len(part) for part in (self.pictures, self.words, self.sounds))

    @property
    def only_pictures(self) -> bool:
        """Whether there is nothing to read or to hear."""
        return self.words is None and self.sounds is None

    @property
    def only_words(self) -> bool:
        """Whether there is nothing to see or to hear."""
        return self.pictures is None and self.sounds is None

    def sheet(self, name: str, *, side: int) -> Sheet | None:
        """The pictures in one sheet; see `sheet`."""
        return None if self.pictures is None else sheet(name, self.pictures, side=side)


def read_samples(arrays: Mapping[str, Any], name: str) -> Samples:
    """The samples that a file holds under `name`: pictures; and `name_words`, `name_sounds`, `name_sample_rate`.

    Raises:
        ValueError: there are none, or not as many pictures as words, say.
    """
    words, sounds = arrays.get(f"{name}_words"), arrays.get(f"{name}_sounds")
    samples = Samples(
        pictures=arrays.get(name),
        words=None if words is None else [str(text) for text in words],
        sounds=sounds,
        sample_rate=None if sounds is None else int(arrays[f"{name}_sample_rate"]),
    )
    parts = (samples.pictures, samples.words, samples.sounds)
    if len(counts := {len(part) for part in parts if part is not None}) != 1:
        raise ValueError(f"{name} has pictures, words and sounds of {sorted(counts)} samples")
    return samples


def sample_html(samples: Samples, pictures: Sheet | None, index: int, name: str) -> str:
    """One sample: its picture, its words and a player, as far as it has them; `name` says which one it is."""
    words = samples.words[index] if samples.words else ""
    parts = []
    if pictures is not None:
        parts.append(picture_html(pictures, index, f"{name}: {words}" if words else name))
    if words:
        parts.append(words_html(words))
    if samples.sounds is not None and samples.sample_rate:
        uri = wav_uri(samples.sounds[index], samples.sample_rate)
        parts.append(f'<audio controls preload="metadata" src="{uri}" aria-label="{escape(name)}"></audio>')
    return "".join(parts)


def words_html(words: str) -> str:
    """Words, of which the style sheet may hide the end: all of them are in the title."""
    return f'<span class="words" dir="auto" title="{escape(words)}">{escape(words)}</span>'
