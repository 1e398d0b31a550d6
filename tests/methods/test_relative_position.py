from __future__ import annotations

import math

import pytest
import torch
from patchwise import Still, batch, built, images

from likewise.errors import UserError
from likewise.methods.relative_position import RelativePosition
from likewise.seeding import generator_for
from likewise.views.pretext import mosaic


def test_the_objective_names_the_place_of_each_neighbour() -> None:
    method = built(RelativePosition, hidden_dim=7).eval()
    (patches,) = method.make_views(batch(), generator_for(0))
    assert patches.shape[:3] == (4, 9, 1)
    loss, right = 0.0, 0
    for image in patches:
        z = method.encoder(image)
        for place, neighbour in enumerate([0, 1, 2, 3, 5, 6, 7, 8]):
            scores = method.head(torch.cat([z[4], z[neighbour]])[None])[0]
            loss -= torch.log(scores.exp()[place] / scores.exp().sum()).item() / 32
            right += int(scores.argmax() == place)
    answer = method.objective(patches)
    assert answer["loss"].item() == pytest.approx(loss, rel=1e-12)
    assert answer["accuracy"].item() == pytest.approx(right / 32)


def test_views_are_patches_of_light_views_with_one_colour_each() -> None:
    method = built(RelativePosition, channels=3, hidden_dim=7)
    (patches,) = method.make_views(batch(channels=3), generator_for(0))
    cut = method.grid.cut(images(channels=3), generator_for(0))
    assert ((patches == cut).all((3, 4)).sum(2) == 1).all()
    assert isinstance(method.views, Still)
    assert method.views.made == ["weak"]
    coloured = built(RelativePosition, channels=3, hidden_dim=7, drop_colours=False)
    assert torch.equal(coloured.make_views(batch(channels=3), generator_for(0))[0], cut)


def test_chance_is_what_equal_scores_give() -> None:
    method = built(RelativePosition, hidden_dim=7)
    torch.nn.init.zeros_(method.head[-1].weight)
    torch.nn.init.zeros_(method.head[-1].bias)
    answer = method.objective(*method.make_views(batch(), generator_for(0)))
    assert method.chance(4) == {"loss": math.log(8), "accuracy": 1 / 8}
    assert {name: value.item() for name, value in answer.items()} == pytest.approx(method.chance(4))


def test_the_known_trivial_solutions_are_named_once_the_task_is_solved() -> None:
    solved, unsolved = {"accuracy": 0.9}, {"accuracy": 0.13}
    touching = built(RelativePosition, hidden_dim=7, gap=0.0, jitter=0.0)
    assert "--gap" in (touching.degenerate_solution(solved) or "")
    assert touching.degenerate_solution(unsolved) is None
    coloured = built(RelativePosition, channels=3, hidden_dim=7, drop_colours=False)
    assert "--drop-colours" in (coloured.degenerate_solution(solved) or "")
    assert built(RelativePosition, hidden_dim=7, drop_colours=False).degenerate_solution(solved) is None
    assert built(RelativePosition, channels=3, hidden_dim=7).degenerate_solution(solved) is None


def test_pictures_show_patches_where_they_are_and_where_they_were_placed() -> None:
    method = built(RelativePosition, hidden_dim=7).eval()
    torch.nn.init.zeros_(method.head[-1].weight)
    method.head[-1].bias.data = torch.eye(8, dtype=torch.float64)[5]  # always below, which is place 7 of nine
    (figure,) = method.figures(images(2), generator_for(0))
    picture, patches, placed = figure.rows
    shown = method.views.picture(method.grid.cut(images(2), generator_for(0)).flatten(0, 1)).unflatten(0, (2, 9))
    assert torch.equal(torch.from_numpy(picture.pictures), method.views.picture(images(2)))
    assert torch.equal(torch.from_numpy(patches.pictures), mosaic(shown))
    assert placed.texts == ["1 of 8"] * 2
    size = shown.shape[-1]
    middle = torch.from_numpy(placed.pictures)[:, :, size + 1 : 2 * size + 1, size + 1 : 2 * size + 1]
    assert torch.equal(middle, shown[:, 4])
    assert (placed.pictures[:, :, :size, :size] == 224).all()


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match="hidden_dim must be at least 1, got 0"):
        built(RelativePosition, hidden_dim=0)
    with pytest.raises(UserError, match="jitter must be from 0 to half the gap"):
        built(RelativePosition, jitter=0.4)
    with pytest.raises(UserError, match="images of 6x6 px are too small for 3x3 patches: 8 px are the least"):
        built(RelativePosition, hidden_dim=7).make_views(batch(size=6), generator_for(0))


def test_patches_can_be_standardized_before_their_colours_are_dropped() -> None:
    method = built(RelativePosition, channels=3, hidden_dim=7, standardize=True)
    (patches,) = method.make_views(batch(channels=3), generator_for(0))
    deviations = patches.std((3, 4), correction=0).sort(2).values
    torch.testing.assert_close(deviations[:, :, 2], torch.ones(4, 9).double())
    assert deviations[:, :, :2].max() < 0.03  # the others are noise
    coloured = built(RelativePosition, channels=3, hidden_dim=7, standardize=True, drop_colours=False)
    (patches,) = coloured.make_views(batch(channels=3), generator_for(0))
    torch.testing.assert_close(patches.mean((3, 4)), torch.zeros(4, 9, 3).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(patches.std((3, 4), correction=0), torch.ones(4, 9, 3).double())


def test_patches_can_be_grey() -> None:
    method = built(RelativePosition, channels=3, hidden_dim=7, grey=1.0, drop_colours=False)
    (patches,) = method.make_views(batch(channels=3), generator_for(0))
    assert torch.equal(patches[:, :, 0], patches[:, :, 1])
    assert method.degenerate_solution({"accuracy": 0.9}) is None  # no colours to tell
    grey = built(RelativePosition, hidden_dim=7, grey=1.0)
    assert torch.equal(grey.make_views(batch(), generator_for(0))[0], grey.grid.cut(images(), generator_for(0)))
