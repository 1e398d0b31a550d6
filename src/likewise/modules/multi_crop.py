"""Multi-crop: two views of everything and some of small parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from likewise.errors import UserError


def multi_crop(views: Any, samples: Any, generator: torch.Generator, *, local_crops: int) -> tuple[Any, ...]:
    """Two views of everything and `local` views of small parts (SwAV, arXiv:2006.09882).

    Raises:
        UserError: where the modality has no views of parts.
    """
    if local_crops < 0:
        raise UserError(f"local_crops must be 0 or more, got {local_crops}")
    if local_crops and not hasattr(views, "local"):
        raise UserError(
            f"local_crops is {local_crops}, but {type(views).__name__} makes no views of parts: use local_crops 0"
        )
    whole = [views(samples, generator) for _ in range(2)]
    return *whole, *(views.local(samples, generator) for _ in range(local_crops))


def encode_crops(encode: Callable[[Any], Tensor], crops: Sequence[Tensor]) -> list[Tensor]:
    """The embeddings of each crop; neighbours of one size are encoded together."""
    embeddings: list[Tensor] = []
    for _, group in groupby(crops, key=lambda crop: crop.shape):
        alike = list(group)
        embeddings += encode(torch.cat(alike)).chunk(len(alike))
    return embeddings
