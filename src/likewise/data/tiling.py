"""Squares that cover an image: evenly spread, overlapping as far as needed, or by a share of their side."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from likewise.checks import check_int

LEAST_SIDE = 16
MOST_SIDE = 2**13
"""Larger squares have more pixels than an image of which Pillow says that it is safe to be decoded."""

Place = tuple[int, int, int, int]
"""left, top, right, bottom."""


class Tiling(NamedTuple):
    """How images are cut into squares."""

    side: int
    """In pixels of the image."""
    overlap: Fraction = Fraction(0)
    """Of its side, by which a square overlaps the next one at least."""

    def places(self, width: int, height: int) -> list[Place]:
        """The squares in an image, row by row; one is cut to the image where that is smaller."""
        return [
            (left, top, min(left + self.side, width), min(top + self.side, height))
            for top in self.starts(height)
            for left in self.starts(width)
        ]

    def starts(self, length: int) -> list[int]:
        """Where squares begin that cover so many pixels, as few as can be."""
        if length <= self.side:
            return [0]
        step = int(self.side * (1 - self.overlap))
        last = -(-(length - self.side) // step)
        return [place * (length - self.side) // last for place in range(last + 1)]


def check_tile(tile: Any) -> None:
    """Raise `UserError` unless it is a side that tiles can have, or None."""
    check_int(LEAST_SIDE, MOST_SIDE, tile=tile)


def size_of_tiles(side: int) -> str:
    """What tiles are, in the words of people."""
    return f"{side:,} x {side:,} pixels"
