from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from patchwise import Still, batch, built, images

from likewise.errors import UserError
from likewise.methods.jigsaw import Jigsaw
from likewise.seeding import generator_for
from likewise.views.pretext import mosaic, permutation_set, standardize

SMALL = {"permutations": 10, "hidden_dim": 7}


def test_the_objective_names_the_permutation() -> None:
    jigsaw = built(Jigsaw, **SMALL).eval()
    tiles, drawn = jigsaw.make_views(batch(), generator_for(0))
    loss, right = 0.0, 0
    for image, which in zip(tiles, drawn.tolist(), strict=True):
        normal = torch.stack([(t - t.mean()) / t.std(correction=0) for t in image])
        scores = jigsaw.head(jigsaw.encoder(normal).flatten()[None])[0]
        loss -= torch.log(scores.exp()[which] / scores.exp().sum()).item() / 4
        right += int(scores.argmax() == which)
    answer = jigsaw.objective(tiles, drawn)
    assert answer["loss"].item() == pytest.approx(loss, rel=1e-12)
    assert answer["accuracy"].item() == pytest.approx(right / 4)


def test_views_are_the_tiles_of_light_views_in_the_order_that_is_to_be_named() -> None:
    jigsaw = built(Jigsaw, **SMALL)
    tiles, drawn = jigsaw.make_views(batch(), generator_for(0))
    cut = jigsaw.grid.cut(images(), generator_for(0))
    for i in range(4):
        assert torch.equal(tiles[i], cut[i, permutation_set(9, 10)[drawn[i]]])
    assert isinstance(jigsaw.views, Still)
    assert jigsaw.views.made == ["weak"]
    many = jigsaw.make_views(batch(400, size=12), generator_for(0))[1]
    assert many.unique().tolist() == list(range(10))


def test_brightness_and_colour_of_a_tile_tell_nothing() -> None:
    jigsaw = built(Jigsaw, channels=3, **SMALL).eval()
    tiles, _ = jigsaw.make_views(batch(channels=3), generator_for(0))
    other = tiles * torch.rand(4, 9, 3, 1, 1, dtype=torch.float64).add(0.5) + torch.randn(4, 9, 3, 1, 1).double()
    assert torch.allclose(jigsaw.scores(other), jigsaw.scores(tiles))
    assert torch.allclose(standardize(other), standardize(tiles))


def test_the_permutations_are_kept_with_the_weights() -> None:
    jigsaw, other = built(Jigsaw, **SMALL), built(Jigsaw, **SMALL)
    other.permutations.zero_()
    other.load_state_dict(jigsaw.state_dict())
    assert torch.equal(other.permutations, permutation_set(9, 10))
    assert permutation_set(9, 10).any()  # what is shared was not written into


def test_chance_is_what_equal_scores_give() -> None:
    jigsaw = built(Jigsaw, **SMALL)
    torch.nn.init.zeros_(jigsaw.head[-1].weight)
    torch.nn.init.zeros_(jigsaw.head[-1].bias)
    assert jigsaw.chance(4) == {"loss": math.log(10), "accuracy": 0.1}
    answer = jigsaw.objective(*jigsaw.make_views(batch(), generator_for(0)))
    assert answer["loss"].item() == pytest.approx(math.log(10))


def test_the_known_trivial_solution_is_named_once_the_puzzle_is_solved() -> None:
    touching = built(Jigsaw, gap=0.0, jitter=0.0, **SMALL)
    assert "--gap" in (touching.degenerate_solution({"accuracy": 0.9}) or "")
    assert touching.degenerate_solution({"accuracy": 0.1}) is None
    assert built(Jigsaw, **SMALL).degenerate_solution({"accuracy": 0.9}) is None


def test_pictures_show_the_tiles_put_back_as_named() -> None:
    jigsaw = built(Jigsaw, **SMALL).eval()
    torch.nn.init.zeros_(jigsaw.head[-1].weight)
    drawn = jigsaw.shuffle(jigsaw.grid.cut(images(), g := generator_for(0)), g)[1]
    jigsaw.head[-1].bias.data = torch.eye(10, dtype=torch.float64)[drawn[0]]  # always what the first one is
    (figure,) = jigsaw.figures(images(), generator_for(0))
    picture, mixed, back = figure.rows
    cut = jigsaw.views.picture(jigsaw.grid.cut(images(), generator_for(0)).flatten(0, 1)).unflatten(0, (4, 9))
    assert torch.equal(torch.from_numpy(picture.pictures), jigsaw.views.picture(images()))
    assert torch.equal(torch.from_numpy(back.pictures[0]), mosaic(cut)[0])
    assert not np.array_equal(mixed.pictures[0], back.pictures[0])
    assert back.texts == ["✓" if which == drawn[0] else "✗" for which in drawn]


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match="permutations must be from 2 to 24 for 4 patches, got 25"):
        built(Jigsaw, grid=2, permutations=25)
    with pytest.raises(UserError, match="grid must be 2 or 3"):
        built(Jigsaw, grid=4)
    with pytest.raises(UserError, match="images of 5x5 px are too small for 3x3 patches: 6 px are the least"):
        built(Jigsaw, **SMALL).make_views(batch(size=5), generator_for(0))


def test_a_share_of_the_images_has_grey_tiles() -> None:
    method = built(Jigsaw, channels=3, grey=0.66, **SMALL)
    tiles, _ = method.make_views(batch(2000, channels=3, size=12), generator_for(0))
    grey = ((tiles[:, :, 0] == tiles[:, :, 1]) & (tiles[:, :, 1] == tiles[:, :, 2])).flatten(1).all(1)
    assert grey.float().mean().item() == pytest.approx(0.66, abs=0.03)
    colours = built(Jigsaw, channels=3, **SMALL).make_views(batch(channels=3), generator_for(0))
    none = built(Jigsaw, channels=3, grey=0.0, **SMALL).make_views(batch(channels=3), generator_for(0))
    assert all(torch.equal(a, b) for a, b in zip(colours, none, strict=True))
    with pytest.raises(UserError, match=r"grey must be from 0 to 1, got 1\.5"):
        built(Jigsaw, grey=1.5, **SMALL)
