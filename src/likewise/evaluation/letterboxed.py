"""Image files of any size for networks that take letter-boxed ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from likewise.data import pictures
from likewise.data.files import File
from likewise.data.pictures import Letterboxed


class LetterboxedFiles(NamedTuple):
    """Some files, what they became, and the pixels of those that could be read."""

    files: list[File]
    images: list[Letterboxed | str]
    """Or why there is none."""
    pixels: UInt8[Tensor, "n c s s"] | None
    """None where none could be read."""


def letterboxed_files(
    folder: Path, files: Sequence[File], *, size: int, channels: int, at_once: int
) -> Iterator[LetterboxedFiles]:
    """Image files, some at once, upright."""
    with pictures.quietly():
        for start in range(0, len(files), at_once):
            some = list(files[start : start + at_once])
            read = [_read(folder / file.id, size, channels) for file in some]
            known = [each.pixels for each in read if isinstance(each, Letterboxed)]
            yield LetterboxedFiles(some, read, torch.from_numpy(np.stack(known)) if known else None)


def _read(path: Path, size: int, channels: int) -> Letterboxed | str:
    try:
        return pictures.letterboxed(path, size, channels)
    except Exception as error:
        return pictures.reason(error)
