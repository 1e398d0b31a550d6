"""The features of the places of a view, from which an embedding is pooled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from likewise.data.batches import Parts
from likewise.encoders import image_encoder
from likewise.encoders.audio import audio_encoder
from likewise.encoders.pair import PairEncoder, Tower
from likewise.encoders.text import text_encoder
from likewise.errors import UserError


@pytest.mark.parametrize(
    ("name", "channels", "size", "shape"),
    [
        ("resnet8", 1, 8, (256, 2, 2)),
        ("resnet8", 3, 28, (256, 2, 2)),
        ("resnet18", 1, 32, (512, 4, 4)),
        ("resnet50", 3, 64, (2048, 2, 2)),
        ("vit_tiny", 1, 28, (192, 7, 7)),
        ("timm:convnext_atto", 1, 64, (320, 2, 2)),
        ("timm:mobilenetv3_small_050", 3, 64, (288, 2, 2)),
        ("timm:swin_tiny_patch4_window7_224", 3, 56, (768, 2, 2)),
    ],
)
def test_one_pass_gives_the_same_embedding_and_the_features(
    name: str, channels: int, size: int, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=channels, size=size).eval()
    view = torch.randn(2, channels, size, size)
    with torch.no_grad():
        embedding, features = encoder.with_features(view)
        feature_map = encoder.feature_map(view)
        assert torch.equal(embedding, encoder(view))
        assert torch.equal(features, encoder.features(view))
    assert feature_map.shape == (2, *shape)
    assert torch.equal(features, feature_map.flatten(2).transpose(1, 2))
    assert features.shape == (2, shape[1] * shape[2], encoder.features_dim)
    assert encoder.features_dim == shape[0]
    assert encoder.grid() == encoder.grid(view) == shape[1:]
    assert encoder.places_mask(view) is None
    assert not encoder.training
    assert encoder.dim == embedding.shape[1]


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "timm:resnet10t"])
def test_a_resnets_embedding_is_the_mean_of_its_features(name: str) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=1, size=28)
    view = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(encoder.features(view).mean(1), encoder(view))


@pytest.mark.parametrize("name", ["mel-resnet8", "conv-gru-tiny", "wav2vec2-tiny"])
def test_an_audio_embedding_is_the_mean_of_its_features(name: str) -> None:
    torch.manual_seed(0)
    encoder = audio_encoder(name, sample_rate=8000, seconds=0.3).eval()
    view = 0.1 * torch.randn(2, 2400)
    with torch.no_grad():
        embedding, features = encoder.with_features(view)
        assert torch.equal(features, encoder.features(view))
        assert torch.equal(features.mean(1), encoder(view))
        assert torch.equal(embedding, encoder(view))
        longer = encoder.features(torch.zeros(1, 4001))
    assert features.shape == (2, *encoder.grid(), encoder.features_dim)
    assert encoder.grid() == encoder.grid(view)
    assert encoder.grid(torch.zeros(1, 4001)) == longer.shape[1:2]
    assert encoder.places_mask(view) is None


@pytest.mark.parametrize("name", ["bert-tiny", "gpt-tiny"])
def test_a_text_embedding_is_the_mean_of_the_features_that_are_not_padding(name: str) -> None:
    torch.manual_seed(0)
    encoder = text_encoder(name, vocab_size=50, max_tokens=12, pad=0).eval()
    view = torch.tensor([[2, 7, 8, 3, 0, 0], [2, 9, 10, 11, 12, 3]])
    with torch.no_grad():
        embedding, features = encoder.with_features(view)
        assert torch.equal(features, encoder.features(view))
        torch.testing.assert_close(embedding, encoder(view))
    mask = encoder.places_mask(view)
    assert mask.tolist() == [[True] * 4 + [False] * 2, [True] * 6]
    for row, states, real in zip(embedding, features, mask, strict=True):
        torch.testing.assert_close(row, states[real].mean(0))
    assert features.shape == (2, *encoder.grid(view), encoder.features_dim)
    assert encoder.grid() == (12,)


def test_the_features_of_a_pair_are_those_of_its_towers_in_the_joint_space() -> None:
    torch.manual_seed(0)
    image = image_encoder("resnet8", channels=1, size=8)
    text = text_encoder("bert-tiny", vocab_size=50, max_tokens=12, pad=0)
    encoder = PairEncoder([image, text], 6, ["image", "text"]).eval()
    view = Parts((torch.randn(2, 1, 8, 8), torch.tensor([[2, 7, 8, 3, 0], [2, 9, 10, 11, 3]])))
    with torch.no_grad():
        features = encoder.features(view)
        parts = [tower.features(part) for tower, part in zip(encoder.towers, view.parts, strict=True)]
        pooled = encoder.towers[0](view.parts[0])
        _, together = encoder.with_features(view)
    assert features.shape == (2, *encoder.grid(view), 6) == (2, 4 + 5, 6)
    assert torch.equal(features, torch.cat(parts, dim=1))
    assert torch.equal(features, together)
    torch.testing.assert_close(parts[0].mean(1), pooled)
    mask = encoder.places_mask(view)
    assert mask is not None
    assert mask.tolist() == [[True] * 8 + [False], [True] * 9]
    assert encoder.grid() == (4 + 12,)


def test_a_tower_of_an_encoder_without_features_says_so() -> None:
    body = nn.Linear(3, 4)
    body.dim = 4  # type: ignore[assignment]
    message = "encoder must be one with features of 4 numbers, as its embedding, got Linear"
    with pytest.raises(UserError, match=message):
        Tower(body, 2).features(torch.zeros(1, 3))


@pytest.mark.parametrize(("name", "cell"), [("vit_tiny", 4), ("resnet18", 8)])
def test_a_place_lies_where_it_looks(name: str, cell: int) -> None:
    """When a corner of the image changes, the features of that corner change most."""
    torch.manual_seed(0)
    size = 64 if name == "resnet18" else 28
    encoder = image_encoder(name, channels=1, size=size).eval()
    view = torch.randn(1, 1, size, size)
    changed = view.clone()
    changed[..., :cell, -cell:] += 3
    with torch.no_grad():
        change = (encoder.features(changed) - encoder.features(view)).norm(dim=2)[0]
    rows, columns = encoder.grid(view)
    assert change.argmax() == columns - 1
    assert rows == columns


def test_a_vit_has_features_of_views_that_are_not_square() -> None:
    encoder = image_encoder("vit_tiny", channels=1, size=28).eval()
    with torch.no_grad():
        view = torch.zeros(1, 1, 28, 16)
        assert encoder.feature_map(view).shape == (1, 192, 7, 4)
        assert encoder.features(view).shape == (1, 28, 192)
        assert encoder.grid(view) == (7, 4)


def test_names_of_saved_weights_stay() -> None:
    names = {name.removeprefix("body.") for name in image_encoder("resnet8", channels=1, size=8).state_dict()}
    assert {"0.weight", "1.running_mean", "3.residual.0.weight", "5.shortcut.2.bias"} <= names


def test_an_architecture_without_places_says_so() -> None:
    encoder = image_encoder("resnet8", channels=1, size=8)
    encoder.body.forward_features = lambda view: view.flatten(1)  # type: ignore[assignment]
    encoder.body.forward_head = lambda features: features  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"one with features of places, got resnet8, whose features are \(2, 64\)"):
        encoder.features(torch.zeros(2, 1, 8, 8))
