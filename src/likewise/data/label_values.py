"""What values of labels mean: a class, or that a sample has none."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

FILES_NEED = (
    "put each class into a folder of its own, or give a table of files and labels: --labels TABLE, or metadata.csv in "
    "the folder"
)
ROWS_NEED = "name their column with label_column (--label-column COLUMN)"
ARRAYS_NEED = "put them into an .npz beside the images, as x and y"
"""What to do where samples have no labels: of files in a folder, of rows of a table, of a file of arrays."""


def is_missing(value: Any) -> bool:
    """Whether a value says by itself that there is no label: None, NaN, or text that is empty or `nan`."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return value is None or (isinstance(value, float) and math.isnan(value))


def mean_no_label(known: Sequence[Any]) -> list[bool]:
    """Which of the different values of labels mean that there is none.

    These are the missing ones, and -1 where all others are whole numbers (as numbers or as text). Only where 1 is the
    one other label, -1 is a class.
    """
    missing = [is_missing(value) for value in known]
    numbers = [None if gone else _whole(value) for value, gone in zip(known, missing, strict=True)]
    given = {number for number, gone in zip(numbers, missing, strict=True) if not gone}
    unlabelled = None not in given and given != {-1, 1}
    return [gone or (unlabelled and number == -1) for number, gone in zip(numbers, missing, strict=True)]


def _whole(value: Any) -> int | None:
    """The whole number that a value is, or is the text of; None for anything else."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return int(float(value)) if re.fullmatch(r"\s*[+-]?\d{1,15}(\.0*)?\s*", value) else None
    return int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
