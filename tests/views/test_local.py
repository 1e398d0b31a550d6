"""Views of small parts: their size, what they show, and that encoders take them."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from likewise.encoders import image_encoder
from likewise.views import ImageViews, preset
from likewise.views.presets import parts
from likewise.views.spatial import RandomResizedCrop


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 6, c: int = 3, size: int = 32) -> Tensor:
    return torch.randint(0, 256, (n, c, size, size), dtype=torch.uint8, generator=generator(7))


@pytest.mark.parametrize(("size", "local"), [(4, 4), (8, 4), (28, 12), (32, 12), (64, 28), (96, 40), (224, 96)])
def test_a_part_is_three_sevenths_as_large_in_fours(size: int, local: int) -> None:
    view = ImageViews(preset("strong", size=size, channels=1), size=size, channels=1).local(batch(2, 1), generator())
    assert view.shape == (2, 1, local, local)
    assert view.dtype == torch.float32
    assert bool(view.isfinite().all())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 64, 224])
def test_parts_are_smaller_than_any_whole_crop_and_change_otherwise_alike(size: int, channels: int) -> None:
    whole = preset("strong", size=size, channels=channels)
    local = parts(whole)
    (crop,) = (op for op in whole if isinstance(op, RandomResizedCrop))
    (small,) = (op for op in local if isinstance(op, RandomResizedCrop))
    assert small.scale == (pytest.approx(crop.scale[0] / 3), crop.scale[0])
    assert [op for op in local if op is not small] == [op for op in whole if op is not crop]


def test_where_nothing_crops_a_part_is_a_tenth_to_three_tenths() -> None:
    (crop,) = parts(())
    assert isinstance(crop, RandomResizedCrop)
    assert crop.scale == (pytest.approx(0.1), 0.3)


def test_a_part_shows_less_of_the_picture() -> None:
    """Of a ramp from left to right, crops show as much as they are wide."""
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(40, 1, 64, 64)
    views = ImageViews([{"crop": {"scale": [0.5, 1]}}], size=64, channels=1, mean=[0], std=[1])
    whole, local = (
        view.amax((1, 2, 3)) - view.amin((1, 2, 3))
        for view in (views(ramp, generator()), views.local(ramp, generator()))
    )
    assert whole.min() > (0.5 * 3 / 4) ** 0.5 - 0.05
    assert local.max() < (0.5 * 4 / 3) ** 0.5
    assert local.mean() < 0.65 < 0.75 < whole.mean()


def test_same_generator_same_bits_whatever_the_global_state() -> None:
    views = ImageViews(preset("strong", size=32, channels=3), size=32, channels=3)
    raw = batch()
    first = views.local(raw, generator(1))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(first, views.local(raw, generator(1)))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, views.local(raw, generator(2)))
    assert torch.equal(raw, batch())


def test_config_round_trip() -> None:
    views = ImageViews(["rotation"], size=40, channels=3, local=[{"crop": {"scale": [0.05, 0.2]}}, "horizontal-flip"])
    config = json.loads(json.dumps(views.config()))
    again = ImageViews.from_config(config)
    assert again.config() == config
    assert again.local_ops == views.local_ops
    assert torch.equal(again.local(batch(), generator(3)), views.local(batch(), generator(3)))
    assert not torch.equal(
        views.local(batch(), generator(3)), ImageViews([], size=40, channels=3).local(batch(), generator(3))
    )


@pytest.mark.parametrize("size", [28, 32, 64, 96])
@pytest.mark.parametrize("name", ["resnet8", "resnet18", "vit_tiny"])
def test_encoders_take_parts(name: str, size: int) -> None:
    torch.manual_seed(0)
    encoder = image_encoder(name, channels=1, size=size).eval()
    views = ImageViews(preset("strong", size=size, channels=1), size=size, channels=1)
    raw = batch(2, 1, size)
    with torch.no_grad():
        whole, local = encoder(views(raw, generator())), encoder(views.local(raw, generator()))
    assert whole.shape == local.shape == (2, encoder.dim)
    assert bool(local.isfinite().all())
    assert not torch.allclose(local[0], local[1])
