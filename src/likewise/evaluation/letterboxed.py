"""Image files of any size for networks that take letter-boxed ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likewise.data import pictures
from likewise.data.files import File
from likewise.data.pictures import Letterboxed
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews

Predicted = TypeVar("Predicted")


def predict_letterboxed(
    predict: Callable[[Float[Tensor, "n c s s"]], Iterable[Predicted]],
    views: EvaluationViews,
    folder: Path,
    files: Sequence[File],
    *,
    size: int,
    channels: int,
    compute: ComputeSettings,
) -> Iterator[tuple[File, tuple[Letterboxed, Predicted] | str]]:
    """Each file with its image, upright, and what is predicted of it, or why there is none.

    Args:
        predict: view -> what is predicted of each image.
        views: the `clean` ones.
        folder: that the files are in.
        files: the images.
        size, channels: of the views.
        compute: where; so many images are read at once.
    """
    with pictures.quietly():
        for start in range(0, len(files), compute.batch_size):
            some = files[start : start + compute.batch_size]
            read = [_read(folder / file.id, size, channels) for file in some]
            known = [each.pixels for each in read if isinstance(each, Letterboxed)]
            found: Iterator[Any] = iter(())
            if known:
                found = iter(predict(views.clean(torch.from_numpy(np.stack(known)).to(compute.device))))
            for file, each in zip(some, read, strict=True):
                yield file, (each, next(found)) if isinstance(each, Letterboxed) else each


def _read(path: Path, size: int, channels: int) -> Letterboxed | str:
    try:
        return pictures.letterboxed(path, size, channels)
    except Exception as error:
        return pictures.reason(error)
