"""Whole views and local ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.modules.multi_crop import encode_crops, multi_crop
from likewise.seeding import generator_for
from likewise.views import ImageViews, preset


def rows(n: int, dim: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=generator_for(seed))


def images(n: int = 5) -> Tensor:
    return torch.randint(0, 256, (n, 1, 28, 28), generator=generator_for(3), dtype=torch.uint8)


class Whole:
    """Views of a modality that has no parts."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + torch.rand(batch.shape, generator=generator)


def test_multi_crop_makes_two_whole_views_and_small_ones() -> None:
    views = ImageViews(preset("strong", size=28, channels=1), size=28, channels=1)
    crops = multi_crop(views, images(), generator_for(0), local_crops=3)
    assert [tuple(crop.shape[-2:]) for crop in crops] == [(28, 28)] * 2 + [(12, 12)] * 3
    assert all(len(crop) == 5 for crop in crops)
    again = multi_crop(views, images(), generator_for(0), local_crops=3)
    assert all(torch.equal(a, b) for a, b in zip(crops, again, strict=True))
    assert not torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[2], crops[3])


def test_parts_are_asked_of_views_that_have_them() -> None:
    assert len(multi_crop(Whole(), rows(2), generator_for(0), local_crops=0)) == 2
    with pytest.raises(UserError, match="local_crops must be 0 for Whole, which has no local views, got 2"):
        multi_crop(Whole(), rows(2), generator_for(0), local_crops=2)
    with pytest.raises(UserError, match="local_crops must be at least 0, got -1"):
        multi_crop(Whole(), rows(2), generator_for(0), local_crops=-1)


def test_crops_of_one_size_are_encoded_together() -> None:
    seen = []
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())

    def encode(view: Any) -> Tensor:
        seen.append(tuple(view.shape))
        return pool(view)

    crops = [torch.randn(3, 1, size, size, generator=generator_for(i)) for i, size in enumerate([8, 8, 4, 4, 4])]
    embeddings = encode_crops(encode, crops)
    assert seen == [(6, 1, 8, 8), (9, 1, 4, 4)]
    assert len(embeddings) == 5
    for crop, embedding in zip(crops, embeddings, strict=True):
        torch.testing.assert_close(embedding, pool(crop))
