"""The feature map: what an embedding is pooled from, without a bit of the embedding changed."""

from __future__ import annotations

import pytest
import torch

from likewise.encoders import image_encoder
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
def test_one_pass_gives_the_same_embedding_and_the_map(
    name: str, channels: int, size: int, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=channels, size=size).eval()
    view = torch.randn(2, channels, size, size)
    with torch.no_grad():
        embedding, features = encoder.with_map(view)
        assert torch.equal(embedding, encoder(view))
        assert torch.equal(features, encoder.feature_map(view))
    assert features.shape == (2, *shape)
    assert encoder.map_dim == shape[0]
    assert encoder.places() == shape[1] * shape[2]
    assert not encoder.training
    assert encoder.dim == embedding.shape[1]


@pytest.mark.parametrize("name", ["resnet8", "resnet18", "timm:resnet10t"])
def test_a_resnets_embedding_is_the_mean_of_its_map(name: str) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=1, size=28)
    embedding, features = encoder.with_map(torch.randn(2, 1, 28, 28))
    torch.testing.assert_close(features.mean((2, 3)), embedding)


@pytest.mark.parametrize(("name", "cell"), [("vit_tiny", 4), ("resnet18", 8)])
def test_a_place_of_the_map_lies_where_it_looks(name: str, cell: int) -> None:
    """What changes most when a corner of the image does is the corner of the map."""
    torch.manual_seed(0)
    size = 64 if name == "resnet18" else 28
    encoder = image_encoder(name, channels=1, size=size).eval()
    view = torch.randn(1, 1, size, size)
    changed = view.clone()
    changed[..., :cell, -cell:] += 3
    with torch.no_grad():
        change = (encoder.feature_map(changed) - encoder.feature_map(view)).norm(dim=1)[0]
    rows, columns = change.shape
    assert change.argmax() == columns - 1
    assert rows == columns


def test_a_vit_has_a_map_of_views_that_are_not_square() -> None:
    encoder = image_encoder("vit_tiny", channels=1, size=28).eval()
    with torch.no_grad():
        assert encoder.feature_map(torch.zeros(1, 1, 28, 16)).shape == (1, 192, 7, 4)


def test_names_of_saved_weights_stay() -> None:
    names = {name.removeprefix("body.") for name in image_encoder("resnet8", channels=1, size=8).state_dict()}
    assert {"0.weight", "1.running_mean", "3.residual.0.weight", "5.shortcut.2.bias"} <= names


def test_an_architecture_without_a_map_says_so() -> None:
    encoder = image_encoder("resnet8", channels=1, size=8)
    encoder.body.forward_features = lambda view: view.flatten(1)  # type: ignore[assignment]
    encoder.body.forward_head = lambda features: features  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"encoder 'resnet8' has no feature map: its features are \(2, 64\)"):
        encoder.feature_map(torch.zeros(2, 1, 8, 8))
