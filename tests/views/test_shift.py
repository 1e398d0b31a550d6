"""Random crops and shifts: windows of the images, against slices one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from likewise.errors import UserError
from likewise.seeding import generator_for, generator_for_part
from likewise.views.shift import center_crop, random_crop, random_shift

IMAGES = torch.randint(256, (40, 9, 12, 14), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def windows_of(image: Tensor, height: int, width: int) -> list[Tensor]:
    rows, columns = image.shape[1] - height + 1, image.shape[2] - width + 1
    return [image[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]


def place_in(window: Tensor, windows: list[Tensor]) -> int:
    """Which of the windows it is."""
    found = [place for place, each in enumerate(windows) if torch.equal(window, each)]
    assert len(found) == 1
    return found[0]


def test_a_crop_is_a_window_of_each_image() -> None:
    crops = random_crop(IMAGES, 9, generator_for(0, 0))
    assert crops.shape == (40, 9, 9, 9)
    assert crops.dtype == torch.uint8
    places = [place_in(crop, windows_of(image, 9, 9)) for crop, image in zip(crops, IMAGES, strict=True)]
    assert len(set(places)) > 12  # of 24


def test_every_place_is_drawn_and_none_more_often() -> None:
    ramp = torch.arange(16).reshape(1, 1, 4, 4).expand(9000, 1, 4, 4)
    corners = random_crop(ramp, 2, generator_for(0, 1))[:, 0, 0, 0]
    counts = corners.bincount(minlength=16).reshape(4, 4)
    assert counts[3].sum() == counts[:, 3].sum() == 0
    assert 850 < counts[:3, :3].min() <= counts[:3, :3].max() < 1150  # 1,000 each, five standard deviations are 150


def test_a_shift_is_a_window_of_the_image_with_its_edge_repeated() -> None:
    shifted = random_shift(IMAGES, 2, generator_for(0, 2))
    padded = pad(IMAGES.float(), (2, 2, 2, 2), mode="replicate").to(torch.uint8)
    places = [place_in(a, windows_of(b, 12, 14)) for a, b in zip(shifted, padded, strict=True)]
    assert len(set(places)) > 12  # of 25
    assert torch.equal(random_shift(IMAGES, 0, generator_for(0, 2)), IMAGES)


def test_views_are_a_function_of_seed_and_step() -> None:
    assert torch.equal(random_crop(IMAGES, 8, generator_for(3, 5)), random_crop(IMAGES, 8, generator_for(3, 5)))
    assert not torch.equal(random_crop(IMAGES, 8, generator_for(3, 5)), random_crop(IMAGES, 8, generator_for(3, 6)))


def test_two_processes_crop_as_one_does() -> None:
    whole = random_crop(IMAGES, 8, generator_for_part(1, 2, part=0, parts=1))
    halves = [
        random_crop(half, 8, generator_for_part(1, 2, part=part, parts=2)) for part, half in enumerate(IMAGES.chunk(2))
    ]
    assert torch.equal(torch.cat(halves), whole)


def test_the_middle() -> None:
    assert torch.equal(center_crop(IMAGES, 8), IMAGES[:, :, 2:10, 3:11])
    assert torch.equal(center_crop(IMAGES, 12), IMAGES[:, :, :, 1:13])


def test_a_window_fits_into_the_image() -> None:
    with pytest.raises(UserError, match="size must be from 1 to 12, got 13"):
        random_crop(IMAGES, 13, generator_for(0))
    with pytest.raises(UserError, match="pad must be at least 0, got -1"):
        random_shift(IMAGES, -1, generator_for(0))
