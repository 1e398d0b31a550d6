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
        ("resnet8", 1, 8, 256),
        ("resnet8", 3, 28, 256),
        ("resnet18", 1, 28, 512),
        ("resnet18", 3, 96, 512),
        ("resnet34", 3, 32, 512),
        ("resnet50", 3, 32, 2048),
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
    assert set(ARCHITECTURES) == {"resnet8", "resnet18", "resnet34", "resnet50", "vit_tiny", "vit_small"}


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
