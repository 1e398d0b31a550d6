"""What rebuilds a view: an image from an embedding, patches from the tokens of some of them."""

from __future__ import annotations

import math

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from likewise.encoders import image_encoder
from likewise.encoders.vit import encode_visible, from_patches, grid_positions, take, to_patches, vision_transformer
from likewise.errors import UserError
from likewise.modules.decoders import ImageDecoder, PatchDecoder


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def orders(n: int, patches: int, seed: int = 0) -> Tensor:
    return torch.rand(n, patches, generator=torch.Generator().manual_seed(seed)).argsort(1)


@pytest.fixture(scope="module")
def vit() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(8, 2, in_chans=1, num_classes=0, embed_dim=32, depth=2, num_heads=2).eval()


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


def test_visible_patches_see_nothing_of_the_hidden_ones(vit: VisionTransformer) -> None:
    view, order = random(3, 1, 8, 8), orders(3, 16)
    visible, hidden = order[:, :4], order[:, 4:]
    hides = torch.zeros(3, 16, dtype=torch.bool).scatter(1, hidden, True)[..., None]
    other = from_patches(torch.where(hides, random(3, 16, 4, seed=1), to_patches(view, 2, 2)), (4, 4), 2, 2)
    assert not torch.equal(other, view)
    tokens = encode_visible(vit, view, visible)
    assert tokens.shape == (3, 1 + 4, 32)
    assert torch.equal(encode_visible(vit, other, visible), tokens)
    turned = encode_visible(vit, view, visible.flip(1))
    torch.testing.assert_close(turned[:, 1:].flip(1), tokens[:, 1:])


def test_the_decoder_puts_every_patch_where_it_belongs() -> None:
    torch.manual_seed(0)
    decoder = PatchDecoder(24, grid=(4, 4), out=5, width=32, depth=2, prefix=1)
    tokens, order = random(2, 1 + 6, 24), orders(2, 16)
    rebuilt = decoder(tokens, order)
    assert rebuilt.shape == (2, 16, 5)
    # The order in which patches are seen, and that of the hidden ones, says nothing: only where they are does.
    mixed = torch.cat([order[:, :6].flip(1), order[:, 6:].roll(3, 1)], dim=1)
    again = decoder(torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], dim=1), mixed)
    torch.testing.assert_close(again, rebuilt)
    # Without blocks to mix them, a visible patch is what its own token says, and the hidden differ by place alone.
    decoder.blocks = torch.nn.Sequential()
    alone = decoder(tokens, order)
    for sample in range(2):
        for place, patch in enumerate(order[sample].tolist()):
            token = decoder.narrow(tokens[sample, 1 + place]) if place < 6 else decoder.hidden[0, 0]
            expected = decoder.pixels(decoder.norm(token + decoder.positions[patch]))
            torch.testing.assert_close(alone[sample, patch], expected)


def test_an_encoder_without_patches_is_refused() -> None:
    with pytest.raises(UserError, match=r"must be a Vision Transformer, got resnet8: try --encoder vit_tiny"):
        vision_transformer(image_encoder("resnet8", channels=1, size=8))
    with pytest.raises(UserError, match="got Flatten"):
        vision_transformer(torch.nn.Flatten())
