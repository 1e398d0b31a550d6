from __future__ import annotations

import math

import pytest
import torch
from patchwise import Still, batch, built, images

from likewise.methods.rotnet import RotNet
from likewise.seeding import generator_for


def test_the_objective_is_the_papers_equation() -> None:
    rotnet = built(RotNet)
    (views,) = rotnet.make_views(batch(), generator_for(0))
    loss, right = 0.0, 0
    for image in images():
        for quarters in range(4):
            scores = rotnet.classifier(rotnet.encoder(image.rot90(quarters, (1, 2))[None]))[0]
            loss -= torch.log(scores.exp()[quarters] / scores.exp().sum()).item() / 16
            right += int(scores.argmax() == quarters)
    answer = rotnet.objective(views)
    assert answer["loss"].item() == pytest.approx(loss, rel=1e-12)
    assert answer["accuracy"].item() == pytest.approx(right / 16)


def test_views_are_light_and_all_four_rotations_of_them() -> None:
    rotnet = built(RotNet)
    (views,) = rotnet.make_views(batch(), generator_for(0))
    assert torch.equal(views, torch.cat([images().rot90(k, (2, 3)) for k in range(4)]))
    assert isinstance(rotnet.views, Still)
    assert rotnet.views.made == ["weak"]


def test_chance_is_what_equal_scores_give() -> None:
    rotnet = built(RotNet)
    torch.nn.init.zeros_(rotnet.classifier.weight)
    torch.nn.init.zeros_(rotnet.classifier.bias)
    answer = rotnet.objective(*rotnet.make_views(batch(), generator_for(0)))
    assert rotnet.chance(4) == {"loss": math.log(4), "accuracy": 0.25}
    assert {name: value.item() for name, value in answer.items()} == pytest.approx(rotnet.chance(4))


def test_pictures_show_the_angle_that_was_named() -> None:
    rotnet = built(RotNet)
    torch.nn.init.zeros_(rotnet.classifier.weight)
    rotnet.classifier.bias.data = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)  # always 180°
    (figure,) = rotnet.figures(images(3), generator_for(0))
    assert [row.name for row in figure.rows] == [f"turned by {angle}°" for angle in (0, 90, 180, 270)]
    assert [row.texts for row in figure.rows] == [["180° ✗"] * 3] * 2 + [["180° ✓"] * 3, ["180° ✗"] * 3]
    assert torch.equal(torch.from_numpy(figure.rows[1].pictures), rotnet.views.picture(images(3)).rot90(1, (2, 3)))


def test_views_that_can_not_be_seen_make_no_pictures() -> None:
    rotnet = built(RotNet)
    rotnet.views = object()
    assert rotnet.figures(images(), generator_for(0)) == []
