from __future__ import annotations

import pytest
import torch
from torch import nn

from likewise.encoders import adopt, image_encoder
from likewise.encoders.image import ARCHITECTURES, default_image_encoder
from likewise.errors import UserError
from likewise.modules.heads import mlp, projector


@pytest.mark.parametrize(
    ("name", "channels", "size", "dim"),
    [
        ("nature_cnn", 1, 8, 256),
        ("nature_cnn", 9, 64, 256),
        ("resnet8", 1, 8, 256),
        ("resnet8", 3, 28, 256),
        ("resnet18", 1, 28, 512),
        ("resnet18", 3, 96, 512),
        ("resnet34", 3, 32, 512),
        ("resnet50", 3, 32, 2048),
        ("vit_micro", 1, 8, 64),
        ("vit_micro", 3, 32, 64),
        ("vit_tiny", 1, 28, 192),
        ("vit_small", 3, 96, 384),
        ("timm:convnext_atto", 1, 32, 320),
    ],
)
def test_an_encoder_knows_its_dim_and_keeps_its_channels(name: str, channels: int, size: int, dim: int) -> None:
    encoder = image_encoder(name, channels=channels, size=size).eval()
    with torch.no_grad():
        assert encoder(torch.zeros(2, channels, size, size)).shape == (2, dim)
    assert encoder.dim == dim
    assert next(p for p in encoder.parameters() if p.ndim == 4).shape[1] == channels
    again = image_encoder(**encoder.config)
    assert again.state_dict().keys() == encoder.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "size", "cells"),
    [("resnet8", 28, 2), ("resnet18", 28, 3), ("vit_micro", 28, 2), ("timm:test_vit", 160, 2)],
)
def test_a_pool_grid_keeps_the_mean_of_each_cell(name: str, size: int, cells: int) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=1, size=size, pool_grid=cells).eval()
    view = torch.rand(2, 1, size, size)
    with torch.no_grad():
        embedding, feature_map = encoder(view), encoder.feature_map(view)
    assert encoder.dim == encoder.features_dim * cells**2
    assert embedding.shape == (2, encoder.dim)
    places = feature_map.shape[-1]
    for d, i, j in ((0, 0, 0), (5, cells - 1, 0), (encoder.features_dim - 1, 0, cells - 1)):
        rows, columns = (slice(k * places // cells, -(-(k + 1) * places // cells)) for k in (i, j))
        expected = feature_map[:, d, rows, columns].mean((1, 2))
        torch.testing.assert_close(embedding[:, (d * cells + i) * cells + j], expected)
    assert torch.equal(embedding, encoder.with_features(view)[0])
    assert image_encoder(**encoder.config).dim == encoder.dim


def test_a_pool_grid_has_at_most_as_many_cells_as_there_are_places() -> None:
    with pytest.raises(
        UserError, match=r"^pool_grid must be at most 2, the places in a row of resnet8 at 28 px, got 3"
    ):
        image_encoder("resnet8", channels=1, size=28, pool_grid=3)
    plain = image_encoder("resnet8", channels=1, size=28)
    assert plain.config == {"name": "resnet8", "channels": 1, "size": 28}


def test_small_images_get_the_small_stem() -> None:
    small, large = (image_encoder("resnet18", channels=3, size=size).body for size in (32, 96))
    assert (small.conv1.kernel_size, small.conv1.stride) == ((3, 3), (1, 1))
    assert isinstance(small.maxpool, nn.Identity)
    assert (large.conv1.kernel_size, large.conv1.stride) == ((7, 7), (2, 2))


def test_the_default_encoder_is_small_for_small_images_on_a_cpu() -> None:
    assert default_image_encoder(32, accelerated=False) == "resnet8"
    assert default_image_encoder(32, accelerated=True) == "resnet18"
    assert default_image_encoder(96, accelerated=False) == "resnet18"


def test_the_seed_decides_the_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(image_encoder("resnet8", channels=1, size=8).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "unknown encoder 'resnet81', did you mean 'resnet8'?; there are resnet8, resnet18"),
        ("timm:convnext_tinny", "'timm:convnext_tinny' is not a model of timm, did you mean 'convnext_tiny'?"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        image_encoder(name, channels=3, size=32)


def test_a_size_that_no_patch_divides() -> None:
    with pytest.raises(UserError, match="size 97 can't be cut into patches for vit_tiny"):
        image_encoder("vit_tiny", channels=3, size=97)


def test_any_module_can_be_an_encoder() -> None:
    module = adopt(nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), torch.zeros(2, 1, 8, 8))
    assert module.dim == 7
    assert module.training
    with pytest.raises(UserError, match=r"output of the encoder must be embeddings \(n, dim\), got \(2, 4, 8, 8\)"):
        adopt(nn.Conv2d(1, 4, 3, padding=1), torch.zeros(2, 1, 8, 8))


def test_heads() -> None:
    head = projector(16, 4)
    assert head(torch.zeros(3, 16)).shape == (3, 4)
    assert [type(layer) for layer in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert [layer.bias is None for layer in head if isinstance(layer, nn.Linear)] == [True, False]
    assert [type(layer) for layer in mlp(16, 8, 4, norm=False)] == [nn.Linear, nn.ReLU, nn.Linear]


def test_every_architecture_is_tested_above() -> None:
    above = {"nature_cnn", "resnet8", "resnet18", "resnet34", "resnet50", "vit_micro", "vit_tiny", "vit_small"}
    assert set(ARCHITECTURES) == above | {"vit_large", "vit_small_moco", "vit_large_mae"}  # see the end


def test_an_untrained_vit_micro_sees_where_something_is() -> None:
    views = torch.zeros(4, 1, 8, 8)
    for view, row, column in zip(views, (0, 0, 6, 6), (0, 6, 0, 6), strict=True):
        view[0, row : row + 2, column : column + 2] = 2

    def share_of_places(name: str) -> float:
        """How much of the embeddings' length depends on the corner in which the square is."""
        torch.manual_seed(0)
        with torch.no_grad():
            z = image_encoder(name, channels=1, size=8).eval()(views)
        return float((z - z.mean(0)).norm() / z.norm())

    # Measured: 0.057; vit_tiny, whose weights begin as timm's do, 0.0005.
    assert share_of_places("vit_micro") > 0.03
    assert share_of_places("vit_tiny") < 0.005


@pytest.mark.parametrize(("size", "places"), [(5, 5), (8, 4), (16, 4), (28, 7), (32, 8), (96, 12)])
def test_vit_micro_cuts_small_images_into_few_patches(size: int, places: int) -> None:
    encoder = image_encoder("vit_micro", channels=1, size=size)
    assert encoder.grid() == (places, places)
    with torch.no_grad():
        assert encoder.features(torch.zeros(1, 1, size, size)).shape == (1, places**2, 64)


@pytest.mark.parametrize(("name", "size", "part"), [("resnet8", 28, 8), ("resnet18", 64, 16)])
def test_gradients_of_views_that_shrink_to_a_pixel_are_right_in_bfloat16(name: str, size: int, part: int) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=1, size=size)
    view = torch.randn(32, 1, part, part)

    def gradients(enabled: bool) -> torch.Tensor:
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            encoder(view).float().square().sum().backward()
        return torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])

    exact = gradients(False)
    for _ in range(5):
        assert torch.nn.functional.cosine_similarity(gradients(True), exact, dim=0) > 0.9


@pytest.mark.parametrize(("name", "blocks"), [("resnet8", 3), ("resnet18", 8), ("resnet50", 16), ("timm:resnet10t", 4)])
def test_residual_blocks_can_begin_as_their_shortcuts(name: str, blocks: int) -> None:
    def zeroed(**options: bool) -> int:
        torch.manual_seed(0)
        norms = list(image_encoder(name, channels=3, size=64, **options).modules())
        return sum(isinstance(layer, nn.BatchNorm2d) and not layer.weight.any() for layer in norms)

    torch.manual_seed(0)
    encoder = image_encoder(name, channels=3, size=64, zero_init_residual=True)
    assert zeroed(zero_init_residual=True) == blocks
    assert zeroed() == (blocks if name.startswith("timm") else 0)  # timm's do so anyway
    assert image_encoder(**encoder.config).config == encoder.config
    assert encoder.config["zero_init_residual"] is True
    torch.manual_seed(0)
    plain = image_encoder(name, channels=3, size=64)
    assert "zero_init_residual" not in plain.config
    convolutions = [p for p in encoder.parameters() if p.ndim == 4]
    assert all(map(torch.equal, convolutions, [p for p in plain.parameters() if p.ndim == 4]))  # the same draws


def test_only_resnets_have_residual_blocks_that_end_with_a_norm() -> None:
    with pytest.raises(UserError, match="zero_init_residual must be false for vit_micro, which has no residual blocks"):
        image_encoder("vit_micro", channels=1, size=8, zero_init_residual=True)


def test_the_vit_of_moco_v3_has_12_heads_fixed_positions_and_xavier_weights() -> None:
    torch.manual_seed(0)
    encoder = image_encoder("vit_small_moco", channels=3, size=112)
    body = encoder.body
    assert (body.embed_dim, len(body.blocks), body.blocks[0].attn.num_heads) == (384, 12, 12)
    assert not body.pos_embed.requires_grad
    assert not body.pos_embed[:, 0].any()
    place = body.pos_embed[0, 1 + 7 * 2 + 5]  # row 2, column 5 of 7 x 7
    rates = 10000 ** -(torch.arange(96) / 96)
    waves = [wave(at * rates) for at in (5, 2) for wave in (torch.sin, torch.cos)]
    torch.testing.assert_close(place, torch.cat(waves))
    bounds = {
        "qkv": (body.blocks[3].attn.qkv, 384 + 384),  # queries, keys and values count apart
        "proj": (body.blocks[3].attn.proj, 384 + 384),
        "mlp": (body.blocks[3].mlp.fc1, 384 + 1536),
        "patches": (body.patch_embed.proj, 3 * 16 * 16 + 384),
    }
    for layer, total in bounds.values():
        assert layer.weight.abs().max().item() == pytest.approx((6 / total) ** 0.5, rel=1e-3)
        assert not layer.bias.any()
    assert body.cls_token.abs().max() < 1e-5
    assert encoder.eval()(torch.rand(2, 3, 48, 48)).shape == (2, 384)  # parts too
    encoder(torch.rand(2, 3, 112, 112)).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in encoder.parameters())


def test_the_vit_of_mae_is_large_with_fixed_positions() -> None:
    with torch.device("meta"):  # 300 million weights
        body = image_encoder("vit_large_mae", channels=3, size=224).body
    assert (body.embed_dim, len(body.blocks), body.blocks[0].attn.num_heads) == (1024, 24, 16)
    assert body.pos_embed.shape == (1, 197, 1024)
    assert not body.pos_embed.requires_grad
    assert sum(p.numel() for p in body.parameters() if p.requires_grad) == 303_301_632 - 1024 * 197
