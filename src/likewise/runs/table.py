"""Measures beside what they should be compared with, as plain values: whoever shows them chooses how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard


class Table(NamedTuple):
    """Rows of numbers, the first cells of a row saying whose they are."""

    title: str
    caption: str
    head: list[str]
    units: list[str]
    """Of each column: "%" where numbers are shares, shown times 100; "" where they are shown as they are."""
    rows: list[list[str | float | None]]
    """None: there is no such number."""

    @property
    def name_columns(self) -> int:
        """How many of the first columns are no numbers."""
        columns = range(len(self.head))
        return next((n for n in columns if any(is_number(row[n]) for row in self.rows)), len(self.head))

    def as_dict(self) -> dict[str, Any]:
        """An entry of `"tables"` in `evaluation.json`."""
        return self._asdict()

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Table:
        """The table of an entry of `"tables"` in `evaluation.json`."""
        return cls(
            title=str(table["title"]),
            caption=str(table.get("caption") or ""),
            head=[str(name) for name in table["head"]],
            units=[str(unit) for unit in table["units"]],
            rows=[list(row) for row in table["rows"]],
        )


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a cell of a table is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
