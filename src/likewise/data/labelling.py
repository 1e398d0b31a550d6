"""What says which class files are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor

from likewise.data.files import by_name

Labels = tuple[list[str], Int[Tensor, " kept"] | str]
"""The classes, and the class of each sample; or no classes, and why."""
Labelling = Callable[[Int[np.ndarray, " kept"]], Labels]
"""Of the files at these places: the classes, and the class of each; or no classes, and why."""


def by_words(words: Sequence[str], why_none: str, kept: Int[np.ndarray, " kept"]) -> Labels:
    """The labels that are written for the files at these places, -1 for words that mean none.

    Args:
        words: of every file.
        why_none: what to say where all of them mean none.
    """
    classes, labels = by_name([words[i] for i in kept])
    return classes, labels if classes else why_none
