"""Two views, and where in the image they lie: the pixels there are those that the views show."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from likewise.modules.places import locations
from likewise.seeding import generator_for
from likewise.views import ImageViews

PLAIN = {"mean": [0, 0, 0], "std": [1, 1, 1]}
HEIGHT, WIDTH = 40, 60


def ramps(n: int) -> Tensor:
    """Images whose red is the column and whose green the row of a pixel, four levels each."""
    down, right = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([4 * right, 4 * down, 0 * down]).to(torch.uint8).expand(n, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize("size", [16, 80])
@pytest.mark.parametrize(
    "ops",
    [
        ["crop", "horizontal-flip"],
        [{"rotation": {"degrees": 10}}, {"perspective": {"distortion": 0.2}}, {"crop": {"scale": [0.3, 0.5]}}],
        [],
    ],
    ids=["crops", "warps", "whole"],
)
def test_a_place_shows_what_lies_there(ops: list[object], size: int) -> None:
    views = ImageViews(ops, size=size, channels=3, second=["horizontal-flip"], **PLAIN)
    first, second, where = views.located_pair(ramps(30), generator_for(2))
    assert where.shape == (30, 2, 3, 3)
    for view, homographies in ((first, where[:, 0]), (second, where[:, 1])):
        x, y = locations(homographies, size, size).unbind(2)
        shown = view[:, :2].flatten(2) * 255 / 4 + 0.5  # of a pixel's middle
        margin = 1.5 + WIDTH / size  # at the edges of a view there is less to interpolate from
        inside = (x.abs() < WIDTH / 2 - margin) & (y.abs() < HEIGHT / 2 - margin)
        assert inside.float().mean() > 0.3
        assert (shown[:, 0] - (x + WIDTH / 2))[inside].abs().median() < 0.2
        assert (shown[:, 1] - (y + HEIGHT / 2))[inside].abs().median() < 0.2


def test_they_are_the_views_that_are_made_without_it() -> None:
    views = ImageViews(
        ["crop", "rotation", "color-jitter", "blur"], size=24, channels=3, second=["crop", "noise", "solarize"]
    )
    batch = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=generator_for(1))
    first, second, _ = views.located_pair(batch, generator_for(3))
    generator = generator_for(3)
    assert torch.equal(first, views(batch, generator))
    assert torch.equal(second, views.second(batch, generator))
