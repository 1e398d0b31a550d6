"""What of samples a person can look at, read or hear: as much as their views can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int16, UInt8

from likewise.runs.arrays import Arrays, as_array, check_array

MAX_LETTERS = 240
"""Letters of a sample's text that a gallery keeps: enough to recognise it."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples that can be seen, read or heard; what they have nothing of is None."""

    pictures: UInt8[np.ndarray, "n c h w"] | None = None
    texts: list[str] | None = None
    sounds: Int16[np.ndarray, "n length"] | None = None
    sample_rate: int | None = None
    """Of the sounds, in Hz."""

    def __len__(self) -> int:
        return max(0 if part is None else len(part) for part in (self.pictures, self.texts, self.sounds))

    @property
    def only_pictures(self) -> bool:
        """Whether there is nothing to read or to hear."""
        return self.texts is None and self.sounds is None

    @property
    def only_texts(self) -> bool:
        """Whether there is nothing to see or to hear."""
        return self.pictures is None and self.sounds is None

    @classmethod
    def of(cls, views: Any, view: Any) -> Samples:
        """What the samples of a view look, read and sound like; empty where the views show nothing.

        Pictures, bytes `(n, c, h, w)`, where the views have a `picture(view)`; texts, `n` of them, where they have
        `texts(view)`; sounds, int16 `(n, length)`, where they have `sounds(view)` and a `sample_rate` in Hz.
        """
        heard = hasattr(views, "sounds")
        return cls(
            pictures=as_array(views.picture(view)) if hasattr(views, "picture") else None,
            texts=views.texts(view) if hasattr(views, "texts") else None,
            sounds=as_array(views.sounds(view)) if heard else None,
            sample_rate=views.sample_rate if heard else None,
        )

    def to_arrays(self, name: str) -> Arrays:
        """The samples as arrays of a file: pictures under `name`, then `name_texts`, `name_sounds`, `name_sample_rate`.

        Those that are None are left out.
        """
        found = {
            name: self.pictures,
            f"{name}_texts": None if self.texts is None else np.array(self.texts, dtype=np.str_),
            f"{name}_sounds": self.sounds,
            f"{name}_sample_rate": None if self.sample_rate is None else np.array(self.sample_rate),
        }
        return {key: array for key, array in found.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], name: str) -> Samples:
        """The samples that a file holds under `name`; see `to_arrays`.

        Raises:
            ValueError: there are none, or not as many pictures as texts, or the arrays are of another kind.
        """
        pictures, texts, sounds = (arrays.get(key) for key in (name, f"{name}_texts", f"{name}_sounds"))
        counts = {len(part) for part in (pictures, texts, sounds) if part is not None}
        if len(counts) != 1:
            raise ValueError(f"{name} has pictures, texts and sounds of {sorted(counts)} samples")
        if pictures is not None:
            check_pictures(name, pictures)
        if sounds is not None:
            check_array(f"{name}_sounds", sounds, "i", 2)
        return cls(
            pictures=pictures,
            texts=None if texts is None else [str(text) for text in texts],
            sounds=None if sounds is None else sounds.astype(np.int16),
            sample_rate=None if sounds is None else int(arrays[f"{name}_sample_rate"]),
        )

    @classmethod
    def joined(cls, parts: Iterable[Samples]) -> Samples:
        """Samples of one kind, one after the other."""
        first, *others = parts
        every = [first, *others]
        return cls(
            pictures=None if first.pictures is None else np.concatenate([part.pictures for part in every]),
            texts=None if first.texts is None else [text for part in every for text in part.texts or []],
            sounds=None if first.sounds is None else np.concatenate([part.sounds for part in every]),
            sample_rate=first.sample_rate,
        )


def check_pictures(name: str, pictures: Any) -> None:
    """Raise `ValueError` unless these are bytes `(n, c, h, w)` of one channel or three."""
    check_array(name, pictures, "u", 4)
    if pictures.dtype != np.uint8 or pictures.shape[1] not in (1, 3) or 0 in pictures.shape[2:]:
        raise ValueError(f"{name} is {pictures.dtype} of shape {pictures.shape}")


def halves(views: Any, view: Any) -> list[Samples]:
    """What each part of a view shows, for views of samples in parts; empty for others."""
    if not (hasattr(views, "parts") and hasattr(view, "parts")):
        return []
    return [Samples.of(part_views, part) for part_views, part in zip(views.parts, view.parts, strict=True)]


def clean_samples(views: Any, batches: Iterable[Any]) -> Samples:
    """Pictures and texts of samples as they are, as far as there are any: what a gallery keeps of them.

    Sounds are too large to keep of so many. Of samples in parts, the first part that has pictures gives the pictures,
    the first that has texts the texts. Texts are cut after 240 letters.
    """
    pictures: list[np.ndarray] = []
    texts: list[str] = []
    for batch in batches:
        view = views.clean(batch)
        parts = halves(views, view) or [Samples.of(views, view)]
        pictures += [part.pictures for part in parts if part.pictures is not None][:1]
        texts += next((part.texts for part in parts if part.texts is not None), [])
    return Samples(
        pictures=np.concatenate(pictures) if pictures else None,
        texts=[_cut(text) for text in texts] if texts else None,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1].rstrip()}…"
