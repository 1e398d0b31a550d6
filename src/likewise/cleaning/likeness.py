"""How alike the contents of two samples are: what embeddings propose as copies is checked on the samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy import fft

from likewise.data.batches import Ragged
from likewise.data.source import Source

SIDE = 32
"""Pixels a side of pictures that are compared, at most."""
SHIFTS = 16
"""Pictures are shifted against each other by up to this part of their side, in both directions."""
LETTERS = 4
"""Texts are compared by their groups of so many letters."""
WAVE = 2**17
"""Samples from the beginning of a recording that are compared: 8 s at 16 kHz."""
AT_ONCE = 256  # pairs: recordings are a megabyte each

SURE = {"image": 0.995, "text": 0.8, "audio": 0.9}
"""Likeness of near copies, whatever their embeddings say."""
LIKELY = {"image": 0.98, "text": 0.8, "audio": 0.6}
"""Likeness of near copies that are also much nearer to each other than to their other neighbours."""


def likeness(sources: Sequence[Source], pairs: Int[np.ndarray, "m 2"]) -> Float[np.ndarray, " m"]:
    """The likeness of the samples of each pair, 1 for equal ones, at most 0 for those that have nothing in common.

    Of pictures it is the correlation of their pixels, of recordings that of their waveforms, at the best shift; of
    texts the share of groups of 4 letters that both have, in any case of letters and without punctuation.

    Args:
        sources: of one modality; places count through them, one after the other.
    """
    measure = {"image": _of_pictures, "text": _of_texts, "audio": _of_recordings}[sources[0].modality]
    found = [np.zeros(0)]
    for start in range(0, len(pairs), AT_ONCE):
        places, where = np.unique(pairs[start : start + AT_ONCE], return_inverse=True)
        one, other = where.reshape(-1, 2).T
        found.append(measure(_contents(sources, places), one, other))
    return np.concatenate(found)


def _contents(sources: Sequence[Source], places: Int[np.ndarray, " k"]) -> list[Any]:
    """The samples at places in ascending order: arrays or texts."""
    ends = np.cumsum([len(source) for source in sources])
    samples: list[Any] = []
    for source, end in zip(sources, ends, strict=True):
        rows = torch.from_numpy(places[(places >= end - len(source)) & (places < end)] - end + len(source))
        if len(rows):
            batch = source.contents(rows)
            if isinstance(batch, Ragged):
                samples += [row[:n].numpy() for row, n in zip(batch.values, batch.lengths.tolist(), strict=True)]
            else:
                samples += list(batch)
    return samples


def _of_pictures(samples: list[Any], one: Int[np.ndarray, " m"], other: Int[np.ndarray, " m"]) -> np.ndarray:
    pictures = torch.stack(samples).float()
    if max(pictures.shape[2:]) > SIDE:
        pictures = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    pixels = pictures.numpy()
    height, width = pixels.shape[2:]
    steps = [max(1, side // SHIFTS) for side in (height, width)]
    best = np.full(len(one), -1.0)
    for down, right in product(range(-steps[0], steps[0] + 1), range(-steps[1], steps[1] + 1)):
        rows, columns = _overlap(down, height), _overlap(right, width)
        a = pixels[:, :, rows[0], columns[0]].reshape(len(pixels), -1)[one]
        b = pixels[:, :, rows[1], columns[1]].reshape(len(pixels), -1)[other]
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        lengths = np.sqrt(np.square(a).sum(1, dtype=np.float64) * np.square(b).sum(1, dtype=np.float64))
        best = np.maximum(best, (a * b).sum(1, dtype=np.float64) / lengths.clip(1e-9))
    return best.clip(-1, 1)


def _overlap(shift: int, side: int) -> tuple[slice, slice]:
    """The part of a side that two pictures have in common when the second is shifted, in each of them."""
    return slice(max(0, shift), side + min(0, shift)), slice(max(0, -shift), side + min(0, -shift))


def normal_form(text: str) -> str:
    """A text without what near copies differ in: case of letters, punctuation and white space."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _of_texts(samples: list[Any], one: Int[np.ndarray, " m"], other: Int[np.ndarray, " m"]) -> np.ndarray:
    forms = [normal_form(text) for text in samples]
    groups = [{form[i : i + LETTERS] for i in range(max(1, len(form) - LETTERS + 1))} for form in forms]
    return np.array(
        [len(groups[i] & groups[j]) / len(groups[i] | groups[j]) for i, j in zip(one, other, strict=True)], dtype=float
    )


def _of_recordings(samples: list[Any], one: Int[np.ndarray, " m"], other: Int[np.ndarray, " m"]) -> np.ndarray:
    found = []
    for i, j in zip(one, other, strict=True):
        a, b = (samples[k][:WAVE].astype(np.float32) for k in (i, j))
        a, b = a - a.mean(), b - b.mean()
        size = fft.next_fast_len(len(a) + len(b), real=True)
        products = fft.irfft(fft.rfft(a, size) * fft.rfft(b, size).conj(), size)
        length = float(np.sqrt(np.square(a).sum(dtype=np.float64) * np.square(b).sum(dtype=np.float64)))
        found.append(min(1.0, float(products.max()) / max(length, 1e-9)))
    return np.array(found)
