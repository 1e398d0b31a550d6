"""Vision Transformers patch by patch."""

from __future__ import annotations

import math

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from likewise.encoders import image_encoder
from likewise.encoders.vit import encode_visible, from_patches, grid_positions, take, to_patches, vision_transformer
from likewise.errors import UserError


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def orders(n: int, patches: int, seed: int = 0) -> Tensor:
    return torch.rand(n, patches, generator=torch.Generator().manual_seed(seed)).argsort(1)


@pytest.fixture(scope="module")
def vit() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(8, 2, in_chans=1, num_classes=0, embed_dim=32, depth=2, num_heads=2).eval()


def test_patches_are_blocks_in_reading_order_and_put_together_again() -> None:
    view = random(2, 3, 8, 12)
    patches = to_patches(view, 4, 2)
    assert patches.shape == (2, 12, 24)
    for index in range(12):
        top, left = 4 * (index // 6), 2 * (index % 6)
        block = view[:, :, top : top + 4, left : left + 2]
        assert torch.equal(patches[:, index], block.permute(0, 2, 3, 1).flatten(1))
    assert torch.equal(from_patches(patches, (2, 6), 4, 2), view)


def test_positions_are_sines_and_cosines_of_column_and_row() -> None:
    found = grid_positions(3, 5, 16)
    for row in range(3):
        for column in range(5):
            rates = [10000 ** -(k / 4) for k in range(4)]
            expected = [
                wave(place * rate) for place in (column, row) for wave in (math.sin, math.cos) for rate in rates
            ]
            torch.testing.assert_close(found[row * 5 + column], torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_rows_are_taken_by_each_samples_own_ids() -> None:
    rows = random(2, 5, 3)
    ids = torch.tensor([[4, 0], [2, 1]])
    assert torch.equal(take(rows, ids), torch.stack([rows[0, [4, 0]], rows[1, [2, 1]]]))


def test_all_patches_visible_is_the_whole_encoder(vit: VisionTransformer) -> None:
    view, ids = random(3, 1, 8, 8), torch.arange(16).expand(3, -1)
    torch.testing.assert_close(encode_visible(vit, view, ids), vit.forward_features(view))


@pytest.mark.parametrize("name", ["vit_tiny", "timm:test_vit"])
def test_all_patches_visible_is_the_whole_encoder_of_every_kind(name: str) -> None:
    size = {"vit_tiny": 28, "timm:test_vit": 64}[name]
    torch.manual_seed(0)
    body = vision_transformer(image_encoder(name, channels=3, size=size).eval())
    ids = torch.arange(body.patch_embed.num_patches).expand(2, -1)
    view = random(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(encode_visible(body, view, ids), body.forward_features(view))


def test_visible_patches_see_nothing_of_the_masked_ones(vit: VisionTransformer) -> None:
    view, order = random(3, 1, 8, 8), orders(3, 16)
    visible, masked = order[:, :4], order[:, 4:]
    hides = torch.zeros(3, 16, dtype=torch.bool).scatter(1, masked, True)[..., None]
    other = from_patches(torch.where(hides, random(3, 16, 4, seed=1), to_patches(view, 2, 2)), (4, 4), 2, 2)
    assert not torch.equal(other, view)
    tokens = encode_visible(vit, view, visible)
    assert tokens.shape == (3, 1 + 4, 32)
    assert torch.equal(encode_visible(vit, other, visible), tokens)
    turned = encode_visible(vit, view, visible.flip(1))
    torch.testing.assert_close(turned[:, 1:].flip(1), tokens[:, 1:])


def test_an_encoder_without_patches_is_refused() -> None:
    with pytest.raises(UserError, match=r"must be a Vision Transformer of timm, got resnet8: try --encoder vit_tiny"):
        vision_transformer(image_encoder("resnet8", channels=1, size=8))
    with pytest.raises(UserError, match="got Flatten"):
        vision_transformer(torch.nn.Flatten())
