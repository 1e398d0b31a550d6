"""Faults of samples, and the kinds that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

KINDS = {
    "unreadable": "files that cannot be read",
    "empty": "texts without a letter, and files or rows without a text",
    "blank": "one colour, or one value, throughout",
    "silent": "recordings below -60 dBFS",
    "clipped": "recordings with 3 or more full-scale samples in a row",
    "repetitive": "texts that repeat one character or one phrase",
    "leak": "equal or nearly equal to a sample of the test part",
    "duplicate": "equal to an earlier sample",
    "near-duplicate": "nearly equal to an earlier sample",
    "outlier": "far from all other samples",
    "label-error": "probably of another class than its label says",
    "mismatched": "pairs whose halves do not fit",
}
"""What each kind means, in the order of the table."""

OF_EMBEDDINGS = ("leak", "near-duplicate", "outlier", "label-error", "mismatched")
"""Kinds that embeddings are needed for."""


class Fault(NamedTuple):
    """One thing that is wrong with one sample; a sample can have several."""

    id: str
    """Of the sample; of a file that is no sample, its path."""
    kind: str
    """One of `KINDS`."""
    reason: str
    score: float | None = None
    """How far it is from usual. What it measures depends on the kind; None where there are no degrees."""
    partner: str | None = None
    """The id of the sample that it is a copy of."""
    label: str | None = None
    suggested: str | None = None
    """The class that it probably is of."""
    place: int = -1
    """In the source; -1 of what is no sample."""
    partner_place: int = -1
    """Among the samples, and behind them those of the test part; -1 without a partner."""

    def as_row(self) -> dict[str, str | float | None]:
        """What is written and shown of it."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS = ("id", "kind", "reason", "score", "partner", "label", "suggested")


def sorted_faults(faults: Iterable[Fault]) -> list[Fault]:
    """By kind, in each the surest first."""
    place = {kind: i for i, kind in enumerate(KINDS)}
    return sorted(faults, key=lambda fault: (place[fault.kind], -(fault.score or 0.0)))


def counts(faults: Iterable[Fault]) -> dict[str, int]:
    """How many there are of each kind that there are some of."""
    found = Counter(fault.kind for fault in faults)
    return {kind: found[kind] for kind in KINDS if found[kind]}
