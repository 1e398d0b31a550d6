"""How many draws of labels are enough: until the main difference is known, or there is no time for another one."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from likewise.evaluation.measures import paired_differences
from likewise.evaluation.protocols import PROTOCOLS
from likewise.runs.counts import nearest_to_typical

CLEAR = 0.02
"""Width of the 95 % interval of the main difference, below which it is known well enough: 2 points of accuracy."""
MOST_SEEDS = 100


class UntilClear:
    """Whether another draw of labels is worth its time.

    Args:
        pair: the protocols of the main difference.
        seconds: from now on, for the whole evaluation.
    """

    def __init__(self, pair: tuple[str, str], seconds: float) -> None:
        self.pair = pair
        self._ends = time.monotonic() + seconds

    def __call__(self, trials: Sequence[dict[str, Any]]) -> bool:
        """Whether to go on after these trials, of one draw or more."""
        seeds = 1 + max(trial["seed"] for trial in trials)
        if seeds >= MOST_SEEDS or self.width(trials) < CLEAR:
            return False
        another = sum(trial["seconds"] for trial in trials if trial["seed"] == seeds - 1)
        return time.monotonic() + another < self._ends

    def width(self, trials: Sequence[dict[str, Any]]) -> float:
        """Of the interval of the main difference with the typical number of labels; infinite after a single draw."""
        count = nearest_to_typical({trial["labels_per_class"] for trial in trials})
        of_count = [trial for trial in trials if trial["labels_per_class"] == count]
        row = next(iter(paired_differences(of_count, [self.pair])), None)
        return float("inf") if row is None or row["low"] is None else row["high"] - row["low"]


def main_difference(protocols: Collection[str]) -> tuple[str, str] | None:
    """The protocols whose difference an evaluation is made for: what was learned against what was not.

    Frozen against scratch, where these were measured; None where none of one kind was.
    """
    measured = [protocol for name, protocol in PROTOCOLS.items() if name in protocols]
    learned = [protocol.name for protocol in measured if protocol.pretrained]
    others = [protocol.name for protocol in measured if not protocol.pretrained]
    return (learned[0], others[0]) if learned and others else None
