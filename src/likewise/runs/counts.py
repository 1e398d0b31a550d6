"""Numbers of labels, or of recordings, that an evaluation has: which of them a sentence is about."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

TYPICAL_LABELS = 10


def nearest_to_typical(counts: Iterable[int | str], typical: int = TYPICAL_LABELS) -> int | Literal["all"]:
    """Of some numbers, the one nearest to a typical one by its logarithm; "all" where there are no numbers.

    A fixed rule, so that a column is not chosen by its result.

    Args:
        counts: numbers of labels of each class, or of recordings, and "all".
        typical: 10 labels of each class if not given.
    """
    numbers: list[int] = sorted(count for count in counts if isinstance(count, int))
    if not numbers:
        return "all"
    nearest: int = min(numbers, key=lambda n: abs(math.log(n / typical)))
    return nearest
