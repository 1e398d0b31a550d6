"""The range of numbers that the grey levels of images stand for, as people give it."""

from __future__ import annotations

import math
from typing import Any

from likewise.checks import require

Range = tuple[int | float, int | float]
"""The numbers that grey levels 0 and 255 stand for."""


def checked_range(range: Any) -> Range:
    """Raises `UserError` for what is not two finite numbers, the lower one first."""
    numbers = list(range) if isinstance(range, list | tuple) else [range]
    plain = all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
    ok = plain and len(numbers) == 2 and numbers[0] < numbers[1]
    got = " ".join(f"{number:g}" if plain else str(number) for number in numbers)
    require(ok, "range", "two numbers, the lower one first", got)
    return float(numbers[0]), float(numbers[1])
