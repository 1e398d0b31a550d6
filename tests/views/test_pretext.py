from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from likewise.errors import UserError
from likewise.seeding import generator_for
from likewise.views.pretext import (
    SMALLEST_SEEN,
    Grid,
    mosaic,
    permutation_set,
    random_orders,
    rotations,
    shuffled,
    standardize,
    without_colours,
)


def numbered(n: int, height: int, width: int, channels: int = 1) -> Tensor:
    """Images whose every pixel says where it is."""
    return torch.arange(n * channels * height * width, dtype=torch.float32).view(n, channels, height, width)


def distances(permutations: Tensor) -> Tensor:
    """Hamming distances of all pairs."""
    rows, columns = torch.triu_indices(len(permutations), len(permutations), 1)
    return (permutations[rows] != permutations[columns]).sum(1)


def test_rotations_are_the_four_quarter_turns_of_the_whole_batch() -> None:
    images = numbered(2, 3, 3, channels=2)
    turned = rotations(images).unflatten(0, (4, 2))
    assert torch.equal(turned[0], images)
    assert turned[1, 1, 0].tolist() == [[20, 23, 26], [19, 22, 25], [18, 21, 24]]  # the right column comes to the top
    for quarters in range(3):
        assert torch.equal(turned[quarters + 1], turned[quarters].rot90(1, (2, 3)))
    assert torch.equal(turned[3].rot90(1, (2, 3)), images)


def test_the_papers_grids_have_the_papers_pixels() -> None:
    assert Grid(3, 0.5, 7 / 96).pixels(398, 420) == (96, 48, 7)  # relative position
    assert Grid(3, 11 / 64, 5.5 / 64).pixels(225, 225) == (64, 11, 5)  # jigsaw
    assert Grid(3, 21 / 64, 10.5 / 64).pixels(255, 255) == (64, 21, 10)  # PIRL


@pytest.mark.parametrize("size", [*range(8, 40), 96, 225])
@pytest.mark.parametrize("grid", [Grid(3, 0.5, 0.25), Grid(3, 0.33, 0.15), Grid(2, 0.17, 0.085), Grid(3, 0.0, 0.0)])
def test_patches_are_the_largest_that_fit_and_never_overlap(grid: Grid, size: int) -> None:
    patch, gap, jitter = grid.pixels(size, size + 3)
    assert grid.cells * patch + (grid.cells - 1) * gap + 2 * jitter <= size
    more = patch + 1
    assert grid.cells * more + (grid.cells - 1) * int(grid.gap * more + 0.5) + 2 * int(grid.jitter * more) > size
    corners = grid.corners(200, size, size + 3, generator_for(size))
    assert corners.min() >= 0
    assert (corners.amax((0, 1)) + patch <= torch.tensor([size, size + 3])).all()
    for one, other in itertools.combinations(range(grid.patches), 2):
        apart = (corners[:, one] - corners[:, other]).abs().amax(1)
        assert (apart >= patch).all()


def test_patches_are_parts_of_their_image_in_reading_order() -> None:
    images, grid = numbered(5, 90, 97, channels=2), Grid(3, 0.33, 0.16)
    patch, *_ = grid.pixels(90, 97)
    patches = grid.cut(images, generator_for(1))
    corners = grid.corners(5, 90, 97, generator_for(1))
    assert patches.shape == (5, 9, 2, patch, patch)
    for i, k in itertools.product(range(5), range(9)):
        top, left = corners[i, k].tolist()
        assert torch.equal(patches[i, k], images[i, :, top : top + patch, left : left + patch])
    rows, columns = corners.view(5, 3, 3, 2).unbind(-1)
    assert (rows.diff(dim=1) >= patch).all()
    assert (columns.diff(dim=2) >= patch).all()


def test_every_place_of_grid_and_patch_is_drawn() -> None:
    grid = Grid(3, 0.5, 0.25)
    patch, gap, jitter = grid.pixels(32, 33)
    spare = 32 - (3 * patch + 2 * gap + 2 * jitter)
    corners = grid.corners(4000, 32, 33, generator_for(2))
    assert corners[:, 0, 0].unique().tolist() == list(range(spare + 2 * jitter + 1))
    assert corners[:, 0, 1].unique().tolist() == list(range(spare + 1 + 2 * jitter + 1))
    moved = corners[:, 1, 1] - corners[:, 0, 1] - patch - gap  # two patches of a row, each by -jitter to jitter
    assert moved.unique().tolist() == list(range(-2 * jitter, 2 * jitter + 1))


def test_patches_too_small_for_an_encoder_are_enlarged() -> None:
    patches = Grid(3, 0.5, 0.0).cut(numbered(2, 8, 8), generator_for(0))
    assert patches.shape == (2, 9, 1, 4, 4)  # half of the image
    assert patches[0, 0, 0, 0, 0] == 0  # corners are the patch's own: rows 0 and 1, columns 0 and 1
    assert patches[0, 0, 0, -1, -1] == 9
    assert patches[0, 8, 0, -1, -1] == 63
    assert Grid(3, 0.5, 0.0).cut(numbered(1, 50, 60), generator_for(0)).shape[-1] == SMALLEST_SEEN


def test_views_are_a_function_of_the_generator() -> None:
    images, grid = torch.randn(6, 3, 32, 32), Grid(3, 0.33, 0.16)
    for view in (lambda g: grid.cut(images, g), lambda g: without_colours(grid.cut(images, g), g)):
        assert torch.equal(view(generator_for(7)), view(generator_for(7)))
        assert not torch.equal(view(generator_for(7)), view(generator_for(8)))


def test_shuffling_is_a_gather_that_argsort_undoes() -> None:
    patches, orders = torch.randn(4, 9, 3, 5, 5), random_orders(4, 9, generator_for(3))
    mixed = shuffled(patches, orders)
    assert torch.equal(orders.sort(1).values, torch.arange(9).expand(4, 9))
    for i, j in itertools.product(range(4), range(9)):
        assert torch.equal(mixed[i, j], patches[i, orders[i, j]])
    assert torch.equal(shuffled(mixed, orders.argsort(1)), patches)


def largest_smallest_distance(items: int, count: int) -> int:
    """The best that any set of `count` permutations can have, by trying all that hold the identity."""
    every = list(itertools.permutations(range(items)))

    def extends(chosen: list[tuple[int, ...]], start: int, least: int) -> bool:
        if len(chosen) == count:
            return True
        return any(
            all(sum(a != b for a, b in zip(every[i], other, strict=True)) >= least for other in chosen)
            and extends([*chosen, every[i]], i + 1, least)
            for i in range(start, len(every))
        )

    return max(least for least in range(2, items + 1) if extends([every[0]], 1, least))


@pytest.mark.parametrize("count", range(2, 25))
def test_permutations_of_four_are_as_far_apart_as_any_set_can_be(count: int) -> None:
    chosen = permutation_set(4, count)
    assert chosen.shape == (count, 4)
    assert torch.equal(chosen.sort(1).values, torch.arange(4).expand(count, 4))
    assert distances(chosen).min() == largest_smallest_distance(4, count)


def test_permutations_of_nine() -> None:
    assert (distances(permutation_set(9, 9)) == 9).all()  # a Latin square: more than nine can't differ everywhere
    many = distances(permutation_set(9, 64)).double()
    random = distances(torch.stack([torch.randperm(9, generator=generator_for(i)) for i in range(64)])).double()
    assert many.min() == 7  # the best is 8, which the affine group of nine elements has with 72
    assert many.min() > random.min()
    assert many.mean() > random.mean() + 0.1


def test_the_set_is_always_the_same_and_a_larger_one_begins_with_it() -> None:
    first = permutation_set(9, 12)
    permutation_set.cache_clear()
    assert torch.equal(permutation_set(9, 12), first)
    assert permutation_set(9, 12) is permutation_set(9, 12)
    assert torch.equal(permutation_set(4, 24)[:10], permutation_set(4, 10))


def test_one_colour_of_each_patch_is_kept_and_the_others_are_noise() -> None:
    patches = torch.randn(200, 9, 3, 6, 6) * torch.tensor([1.0, 2.0, 3.0])[:, None, None] + 1
    dropped = without_colours(patches, generator_for(4))
    kept = (dropped == patches).all((3, 4))
    assert (kept.sum(2) == 1).all()
    assert torch.allclose(kept.double().mean((0, 1)), torch.tensor(1 / 3).double(), atol=0.05)
    for channel in range(3):
        of_channel = kept[:, :, channel]
        noise = dropped[of_channel][:, [c for c in range(3) if c != channel]]
        assert noise.std().item() == pytest.approx((channel + 1) / 100, rel=0.05)
        assert abs(noise.mean().item()) < 1e-3
    grey = torch.randn(2, 9, 1, 6, 6)
    assert without_colours(grey, generator_for(4)) is grey


def test_standardised_patches_tell_no_brightness_and_flat_ones_stay_flat() -> None:
    patches = torch.randn(3, 4, 2, 7, 7) * 5 + 3
    patches[0, 0] = 2.5
    result = standardize(patches)
    assert torch.equal(result[0, 0], torch.zeros(2, 7, 7))
    assert torch.allclose(result.mean((3, 4)), torch.zeros(3, 4, 2), atol=1e-5)
    assert torch.allclose(result.std((3, 4), correction=0).flatten()[2:], torch.ones(22), atol=1e-5)
    assert torch.allclose(standardize(patches * 2 - 7), result, atol=1e-4)


def test_a_mosaic_lays_patches_in_reading_order_on_white() -> None:
    patches = torch.arange(4, dtype=torch.uint8)[None, :, None, None, None].expand(1, 4, 1, 2, 2)
    w = 255
    assert mosaic(patches)[0, 0].tolist() == [
        [0, 0, w, 1, 1],
        [0, 0, w, 1, 1],
        [w, w, w, w, w],
        [2, 2, w, 3, 3],
        [2, 2, w, 3, 3],
    ]


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match=r"images of 7x20 px are too small for 3x3 patches: 8 px are the least"):
        Grid(3, 0.5, 0.0).cut(torch.zeros(1, 1, 7, 20), generator_for(0))
    with pytest.raises(UserError, match=r"grid must be at least 2, got 1"):
        Grid(1, 0.5, 0.0)
    with pytest.raises(UserError, match=r"grid must be from 2 to 16, got 17"):
        Grid(17, 0.5, 0.0)
    with pytest.raises(UserError, match=r"gap must be at most 16, got 1e\+300: patches would be of a few pixels"):
        Grid(3, 1e300, 0.0)
    with pytest.raises(UserError, match=r"gap must be 0 or more, got -0\.1"):
        Grid(3, -0.1, 0.0)
    with pytest.raises(UserError, match=r"jitter must be from 0 to half the gap, 0\.25, got 0\.3"):
        Grid(3, 0.5, 0.3)
    with pytest.raises(UserError, match=r"gap must be finite, got nan"):
        Grid(3, math.nan, 0.0)
    with pytest.raises(UserError, match=r"grid must be 2 or 3"):
        permutation_set(16, 24)
    with pytest.raises(UserError, match=r"permutations must be from 2 to 24 for 4 patches, got 25"):
        permutation_set(4, 25)
    with pytest.raises(UserError, match=r"permutations must be from 2 to 362,880 for 9 patches, got 1"):
        permutation_set(9, 1)
