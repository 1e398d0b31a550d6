"""Multi-crop: two global views and several local ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from likewise.checks import check_int, require


def two_views(views: Any, samples: Any, generator: torch.Generator) -> tuple[Any, Any]:
    """Two views of the whole samples, the second by its own augmentation where `views` have one."""
    return views(samples, generator), getattr(views, "second", views)(samples, generator)


def multi_crop(views: Any, samples: Any, generator: torch.Generator, *, local_crops: int) -> tuple[Any, ...]:
    """Two views of the whole samples and `local_crops` views of small parts (SwAV, arXiv:2006.09882).

    Raises:
        UserError: where the modality has no local views.
    """
    check_int(0, local_crops=local_crops)
    possible = local_crops == 0 or hasattr(views, "local")
    require(possible, "local_crops", f"0 for {type(views).__name__}, which has no local views", local_crops)
    return *two_views(views, samples, generator), *(views.local(samples, generator) for _ in range(local_crops))


def encode_crops(encode: Callable[[Any], Tensor], crops: Sequence[Tensor]) -> list[Tensor]:
    """The embeddings of each crop; adjacent crops of one size are encoded together."""
    embeddings: list[Tensor] = []
    for _, group in groupby(crops, key=lambda crop: crop.shape):
        alike = list(group)
        embeddings += encode(torch.cat(alike)).chunk(len(alike))
    return embeddings
