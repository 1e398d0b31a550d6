"""What one sample looks like, says and sounds like, as files for a page."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import torch
from PIL import Image

from likewise.data.source import Source
from likewise.data.text import corpus
from likewise.errors import UserError
from likewise.report.sounds import wav_bytes
from likewise.report.sprites import TINY, picture_image
from likewise.runs.samples import Samples, halves

SIDE = 384
"""Pixels of a picture, at most."""
LETTERS = 20_000
"""Of a text, at most."""
REMEMBERED = 256


class Appearance(NamedTuple):
    """Of one sample: any number of pictures (PNG or WebP), texts and sounds (WAV)."""

    pictures: list[tuple[str, bytes]]
    """Each with its media type."""
    texts: list[str]
    sounds: list[bytes]


class Appearances:
    """The appearance of each sample of a source; what was looked at lately is remembered.

    Args:
        views: the source's.
    """

    def __init__(self, source: Source, views: Any) -> None:
        self.source = source
        self.views = views
        self.texts = documents(source)
        self._lock = Lock()  # sources are read by one thread at a time
        self.of: Callable[[int], Appearance] = lru_cache(REMEMBERED)(self._of)

    def _of(self, place: int) -> Appearance:
        with self._lock:
            shown = self._shown(place)
            texts = [str(each[place]) for each in self.texts]
        texts = texts or [each.texts[0] for each in shown if each.texts]
        return Appearance(
            [image_bytes(picture_image(each.pictures[0])) for each in shown if each.pictures is not None],
            [text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…" for text in texts],
            [
                wav_bytes(each.sounds[0], each.sample_rate)
                for each in shown
                if each.sounds is not None and each.sample_rate
            ],
        )

    def _shown(self, place: int) -> list[Samples]:
        if self.texts and self.source.modality == "text":
            return []
        view = self.views.clean(self.source.read(torch.tensor([place])))
        return halves(self.views, view) or [Samples.of(self.views, view)]


def documents(source: Source) -> list[Sequence[str]]:
    """The texts of samples that are texts, or of each part that is one; empty for others."""
    found = []
    for part in source.parts or [source]:
        if part.modality == "text":
            with suppress(UserError):  # texts of a kind of their own
                found.append(corpus(part))
    return found


def image_bytes(image: Image.Image) -> tuple[str, bytes]:
    """A picture with its media type: small ones as PNG, to the bit, larger ones as WebP."""
    tiny = max(image.size) <= TINY
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if tiny:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "WEBP", quality=85)
    return ("image/png" if tiny else "image/webp"), buffer.getvalue()
