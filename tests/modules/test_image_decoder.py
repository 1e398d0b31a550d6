"""Images from embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from likewise.modules.image_decoder import ImageDecoder


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [4, 5, 8, 27, 28, 30, 96, 100])
def test_an_image_of_any_size_and_every_pixel_of_it_comes_from_the_embedding(size: int, channels: int) -> None:
    torch.manual_seed(0)
    decoder = ImageDecoder(10, channels=channels, size=size)
    images = decoder(random(3, 10))
    assert images.shape == (3, channels, size, size)
    assert (images[0] != images[1]).all()


def test_an_image_depends_on_no_other_of_the_batch() -> None:
    torch.manual_seed(0)
    decoder, z = ImageDecoder(10, channels=1, size=28), random(6, 10)
    torch.testing.assert_close(decoder(z)[:2], decoder(z[:2]))


def test_a_larger_image_takes_no_more_channels_than_a_light_decoder_has() -> None:
    weights = {size: sum(p.numel() for p in ImageDecoder(30, channels=3, size=size).parameters()) for size in (28, 224)}
    assert weights[28] < 500_000
    assert weights[224] < 500_000
