"""Squares cover an image of any size, as few as can be, evenly spread; impossible sides are refused."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from likewise.data.tiling import Tiling, check_tile
from likewise.errors import UserError


@pytest.mark.parametrize("overlap", [Fraction(0), Fraction(1, 4)])
@pytest.mark.parametrize("side", [16, 17, 64])
def test_squares_cover_any_length_evenly(side: int, overlap: Fraction) -> None:
    for length in range(1, 6 * side):
        starts = Tiling(side, overlap).starts(length)
        assert starts[0] == 0
        assert starts[-1] == max(0, length - side)
        steps = [after - before for before, after in pairwise(starts)]
        assert all(0 < step <= side * (1 - overlap) for step in steps)
        assert max(steps, default=0) - min(steps, default=0) <= 1
        fewer = len(starts) - 1
        if fewer > 1:  # with one square less, two would be too far from each other
            assert (length - side) / (fewer - 1) > int(side * (1 - overlap))


def test_squares_of_an_image_of_odd_size() -> None:
    covered = np.zeros((53, 77), dtype=int)
    places = Tiling(32).places(77, 53)
    assert len(places) == 6
    for left, top, right, bottom in places:
        assert (right - left, bottom - top) == (32, 32)
        covered[top:bottom, left:right] += 1
    assert covered.min() == 1
    assert places == sorted(places, key=lambda place: (place[1], place[0]))  # row by row
    assert Tiling(64).places(100, 40) == [(0, 0, 64, 40), (36, 0, 100, 40)]
    assert Tiling(64).places(30, 20) == [(0, 0, 30, 20)]


@pytest.mark.parametrize(
    ("tile", "why"),
    [
        (8, "tile must be from 16 to 8192, got 8"),
        (10**5, "tile must be from 16 to 8192, got 100000"),
        (64.0, "tile must be a whole number, got 64.0"),
        (True, "tile must be a whole number, got True"),
    ],
)
def test_sides_that_tiles_cannot_have(tile: Any, why: str) -> None:
    check_tile(None)
    check_tile(16)
    with pytest.raises(UserError, match=why):
        check_tile(tile)
