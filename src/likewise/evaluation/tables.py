"""Tables of an evaluation as plain values; the screen and the report format them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Table(NamedTuple):
    """Rows of figures; the first cells of a row name what they belong to."""

    title: str
    caption: str
    head: list[str]
    units: list[str]
    """Of each column: "%" for shares, shown times 100; "" for figures that are shown as they are."""
    rows: list[list[str | float | None]]
    """None: there is no such figure."""

    def as_dict(self) -> dict[str, Any]:
        """An entry of `"tables"` in `evaluation.json`."""
        return self._asdict()
