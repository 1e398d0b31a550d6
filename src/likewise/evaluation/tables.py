"""Figures beside what they should be compared with, as plain values: whoever shows them chooses how."""

from __future__ import annotations

from typing import Any, NamedTuple


class Table(NamedTuple):
    """Rows of figures, the first cells of a row saying whose they are."""

    title: str
    caption: str
    head: list[str]
    units: list[str]
    """Of each column: "%" where figures are shares, shown times 100; "" where they are shown as they are."""
    rows: list[list[str | float | None]]
    """None: there is no such figure."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `"tables"` in `evaluation.json`."""
        return self._asdict()
