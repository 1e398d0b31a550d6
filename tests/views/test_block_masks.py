"""Masks of patches in blocks: how many, where, and that they are blocks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from likewise.seeding import generator_for
from likewise.views.pretext import block_masks

GRID = (14, 12)


def masks(n: int = 200, seed: int = 0, *, least: float = 0.1, most: float = 0.5) -> Tensor:
    return block_masks(n, GRID, generator_for(seed), share=0.5, least=least, most=most)


def touching(mask: Tensor) -> float:
    """The share of neighbouring pairs of a masked patch with any patch, in which both are masked."""
    laid = mask.unflatten(-1, GRID)
    pairs = [(laid[..., 1:, :], laid[..., :-1, :]), (laid[..., :, 1:], laid[..., :, :-1])]
    both = sum(int((a & b).sum()) for a, b in pairs)
    return both / sum(int((a | b).sum()) for a, b in pairs)


def test_half_of_the_views_are_masked_by_parts_that_grow_evenly() -> None:
    counts = masks().sum(1)
    assert int((counts > 0).sum()) == 100
    parts = (counts[counts > 0].sort().values / (14 * 12)).double()
    assert parts[0] >= 0.09
    assert parts[-1] <= 0.51
    wanted = 0.1 + 0.4 * (torch.arange(100) + 0.5) / 100
    assert (parts - wanted).abs().max() < 0.01


@pytest.mark.parametrize("part", [0.1, 0.5])
def test_what_is_masked_are_blocks(part: float) -> None:
    blocks = masks(least=part, most=part)
    blocks = blocks[blocks.any(1)]
    scattered = torch.rand(blocks.shape, generator=generator_for(1)).argsort(1) < blocks.sum(1, keepdim=True)
    assert torch.equal(scattered.sum(1), blocks.sum(1))
    assert touching(blocks) > 2 * touching(scattered)


def test_every_patch_is_masked_now_and_then() -> None:
    share = masks(4000).double().mean(0).unflatten(0, GRID)
    assert share.min() > 0.01
    assert share.max() < 0.3
    assert share[4:-4, 4:-4].mean() > share[[0, 0, -1, -1], [0, -1, 0, -1]].mean()  # few rectangles lie in corners


def test_they_are_a_function_of_the_generator() -> None:
    assert torch.equal(masks(seed=1), masks(seed=1))
    assert not torch.equal(masks(seed=1), masks(seed=2))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (1, 5)])
def test_few_views_of_few_patches_have_one_at_least(n: int, grid: tuple[int, int]) -> None:
    found = block_masks(n, grid, generator_for(0), share=0.5, least=0.1, most=0.5)
    assert found.shape == (n, grid[0] * grid[1])
    assert found.any()
