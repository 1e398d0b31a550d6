"""Samples that hold next to nothing: blank, silent, clipped, without a letter, repetitive."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.cleaning.faults import Fault
from likewise.data.audio import SILENT, clipped_recordings
from likewise.data.batches import Ragged
from likewise.data.source import Source

AT_ONCE = 64  # samples: recordings of half a minute are a megabyte each
LEAST_DEVIATION = 2.0
"""Of 255 levels: images whose channels all deviate less are one colour, stored with loss or noise."""
REPEATS = 4
"""A text that is one phrase so many times is repetitive."""
LONGEST_RUN = 20
"""So many equal characters in a row, if they are half of the text, make it repetitive."""

Fail = tuple[str, str, float | None]
"""Kind, reason, score."""


def trivial_samples(source: Source, done: Callable[[int], None]) -> list[Fault]:
    """The samples of a source, or of the parts of its samples, that hold next to nothing; of each the first fault.

    Args:
        done: told how many samples have been looked at.
    """
    parts = source.parts or [source]
    clipped = [clipped_recordings(part) if part.modality == "audio" else None for part in parts]
    found: dict[int, Fail] = {}
    for some in torch.arange(len(source)).split(AT_ONCE):
        for part, is_clipped in zip(parts, clipped, strict=True):
            for i, fails in zip(some.tolist(), _failures(part.modality, part.contents(some)), strict=True):
                if fails is None and is_clipped is not None and is_clipped[i]:
                    fails = "clipped", "3 or more samples in a row at full scale", None
                if fails is not None:
                    found.setdefault(i, fails)
        done(int(some[-1]) + 1)
    return [Fault(source.ids[i], *fails[:2], score=fails[2], place=i) for i, fails in sorted(found.items())]


def _failures(modality: str, batch: Any) -> Iterable[Fail | None]:
    if isinstance(batch, list):
        return [_of_text(text) for text in batch]
    if isinstance(batch, Ragged):
        rows = zip(batch.values.numpy(), batch.lengths.tolist(), strict=True)
        return [_of_recording(row[:length]) for row, length in rows]
    if modality == "image" and isinstance(batch, Tensor):
        return [_of_image(image) for image in batch.numpy()]
    return [None] * len(batch)


def _of_image(image: np.ndarray) -> Fail | None:
    """Of one image `(c, h, w)`."""
    flat = image.reshape(len(image), -1)
    deviation = float(flat.std(axis=1).max())
    if deviation >= LEAST_DEVIATION:
        return None
    colour = ", ".join(str(round(value)) for value in flat.mean(axis=1))
    how = "one colour" if deviation == 0 else "nearly one colour"
    return "blank", f"{how}: {colour} of 255", round(deviation, 3)


def _of_recording(samples: np.ndarray) -> Fail | None:
    """Of one recording, int16."""
    if not len(samples):
        return None
    peak = max(abs(int(samples.min())), abs(int(samples.max()))) / 32768
    if peak < SILENT:
        loud = f"its peak is {20 * np.log10(peak):.0f} dBFS" if peak else "all samples are 0"
        return "silent", f"silent: {loud}", None
    if (samples == samples[0]).all():
        return "blank", f"one value throughout: {samples[0] / 32768:.3f} of full scale", None
    return None


def _of_text(text: str) -> Fail | None:
    if not any(letter.isalnum() for letter in text):
        return "empty", f"no letter and no digit: {_shown(text)}", None
    words = " ".join(text.casefold().split())
    if len(set(words)) == 1:
        repeated = f", {len(words):,} times" if len(words) > 1 else ""
        return "repetitive", f"one character{repeated}: {_shown(text)}", None
    spaced = words + " "
    for whole in (spaced, words):
        period = (whole + whole).find(whole, 1)
        if (times := len(whole) // period) >= REPEATS:
            return "repetitive", f"one phrase, {times:,} times: {_shown(whole[:period])}", None
    longest = _longest_run(words)
    if longest >= LONGEST_RUN and 2 * longest >= len(words):
        return "repetitive", f"one character {longest:,} times in a row: {_shown(text)}", None
    return None


def _longest_run(text: str) -> int:
    """How many equal characters there are in a row, at most."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    changes = np.flatnonzero(np.diff(letters)) + 1
    return int(np.diff([0, *changes, len(letters)]).max())


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
