"""Intersection over union and boundary F, against formulas that go pixel by pixel, and on cases made by hand."""

from __future__ import annotations

from statistics import fmean

import pytest
import torch
from torch import Tensor

from likewise.data.annotations.annotation import IGNORE
from likewise.evaluation.segmentation_measures import (
    boundary_radius,
    boundary_scores,
    class_ious,
    mean_of_known,
    pixel_confusion,
)


def mask(*rows: str) -> Tensor:
    """Digits are classes, x is ignored."""
    return torch.tensor([[[IGNORE if letter == "x" else int(letter) for letter in row] for row in rows]])


def naive_ious(truth: Tensor, predicted: Tensor, classes: int) -> list[float | None]:
    found: list[float | None] = []
    pairs = [(t, p) for t, p in zip(truth.flatten().tolist(), predicted.flatten().tolist(), strict=True) if t != IGNORE]
    for label in range(classes):
        both = sum(t == label and p == label for t, p in pairs)
        either = sum(t == label or p == label for t, p in pairs)
        found.append(both / either if either else None)
    return found


def naive_boundary(image: list[list[int]], truth: list[list[int]], label: int) -> list[tuple[int, int]]:
    found = []
    height, width = len(image), len(image[0])
    for i in range(height):
        for j in range(width):
            around = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
            there = [(a, b) for a, b in around if 0 <= a < height and 0 <= b < width and truth[a][b] != IGNORE]
            if truth[i][j] != IGNORE and image[i][j] == label and any(image[a][b] != label for a, b in there):
                found.append((i, j))
    return found


def naive_scores(truth: Tensor, predicted: Tensor, classes: int, radius: int) -> list[float | None]:
    found: list[float | None] = []

    def share(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        near = [any((a - c) ** 2 + (b - d) ** 2 <= radius**2 for c, d in others) for a, b in some]
        return sum(near) / len(some)

    for label in range(classes):
        scores = []
        for true, guess in zip(truth.tolist(), predicted.tolist(), strict=True):
            ours, theirs = naive_boundary(guess, true, label), naive_boundary(true, true, label)
            if ours and theirs:
                precision, recall = share(ours, theirs), share(theirs, ours)
                both = precision + recall
                scores.append(2 * precision * recall / both if both else 0.0)
            elif ours or theirs:
                scores.append(0.0)
        found.append(fmean(scores) if scores else None)
    return found


def measured(truth: Tensor, predicted: Tensor, classes: int) -> list[float | None]:
    return class_ious(pixel_confusion(truth, predicted, classes))


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_as_pixel_by_pixel(radius: int) -> None:
    generator = torch.Generator().manual_seed(radius)
    for _ in range(10):
        blocks = torch.randint(0, 3, (2, 3, 4), generator=generator).repeat_interleave(4, 1).repeat_interleave(3, 2)
        noise = torch.rand(blocks.shape, generator=generator)
        truth = torch.where(noise < 0.05, IGNORE, blocks)
        other = torch.randint(0, 4, blocks.shape, generator=generator)
        predicted = torch.where(noise > 0.9, other, blocks).to(torch.uint8)
        assert measured(truth, predicted, 5) == pytest.approx(naive_ious(truth, predicted, 5))
        found = boundary_scores(truth, predicted, 5, radius)
        assert found == pytest.approx(naive_scores(truth, predicted, 5, radius))
        assert found[4] is None


def test_intersection_over_union_by_hand() -> None:
    truth = mask("0011", "0011", "xxxx")
    # Class 1: 3 of 4 right, 1 more predicted: 3/5. Class 0: 3 of 4, 1 more: 3/5. Class 2 is nowhere.
    predicted = mask("0001", "1011", "2222")
    assert measured(truth, predicted, 3) == [0.6, 0.6, None]
    assert mean_of_known([0.6, 0.6, None]) == 0.6


def test_a_class_that_was_never_predicted_or_is_not_there() -> None:
    truth, predicted = mask("0022"), mask("0011")
    assert measured(truth, predicted, 4) == [1.0, 0.0, 0.0, None]
    assert mean_of_known([1.0, 0.0, 0.0, None]) == pytest.approx(1 / 3)


def test_nothing_is_known() -> None:
    truth = mask("xx", "xx")
    assert measured(truth, mask("01", "10"), 2) == [None, None]
    assert boundary_scores(truth, mask("01", "10"), 2, 1) == [None, None]
    assert mean_of_known([None, None]) == 0.0


def test_a_boundary_that_is_off_by_more_than_the_radius() -> None:
    truth = mask("00001111", "00001111")
    near, far = mask("00011111", "00011111"), mask("01111111", "01111111")
    assert boundary_scores(truth, truth, 2, 1) == [1.0, 1.0]
    assert boundary_scores(truth, near, 2, 1) == [1.0, 1.0]
    assert boundary_scores(truth, far, 2, 1) == [0.0, 0.0]
    assert boundary_scores(truth, far, 2, 3) == [1.0, 1.0]


def test_images_without_a_boundary_count_for_no_class() -> None:
    """The edge of the image is none, nor is that of what is ignored."""
    assert boundary_scores(mask("11", "11"), mask("11", "11"), 2, 1) == [None, None]
    assert boundary_scores(mask("1x0", "1x0"), mask("111", "111"), 2, 1) == [None, None]
    both = torch.cat([mask("0011"), mask("0000")])
    assert boundary_scores(both, both, 2, 1) == [1.0, 1.0]
    assert boundary_scores(both, torch.cat([mask("0011"), mask("0001")]), 2, 1) == [0.5, 0.5]


def test_the_radius_grows_with_the_image() -> None:
    assert [boundary_radius(side, side) for side in (8, 96, 224, 512)] == [1, 1, 2, 5]
