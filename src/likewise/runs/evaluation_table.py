"""The result of an evaluation on screen."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from likewise.console import plain


def render_table(result: dict[str, Any]) -> RenderableType:
    """The tables and notes of `result`, the contents of `evaluation.json`."""
    tables: list[RenderableType] = [accuracies(result)] if result.get("summary") else []
    tables += [figures(table) for table in result.get("tables", [])]
    shown = [*tables, *map(plain, result.get("notes", []))]
    return shown[0] if len(shown) == 1 else Group(*shown)


def accuracies(result: dict[str, Any]) -> Table:
    """A row for each protocol, a column for each number of labels: accuracy ± half its 95 % interval, in percent.

    The best mean of a column is bold.
    """
    seeds = result["seeds"]
    table = Table(
        title=plain(f"accuracy on {result['test']}, %"),
        caption=f"mean ± 95 % interval over {seeds} seeds; chance {100 * result['chance']:.1f}, "
        f"most frequent class {100 * result['majority']:.1f}",
    )
    table.add_column("labels per class")
    for count in result["labels_per_class"]:
        table.add_column(str(count), justify="right")
    cells = {(row["protocol"], row["labels_per_class"]): row for row in result["summary"]}
    best = {
        count: max(row["mean"] for row in result["summary"] if row["labels_per_class"] == count)
        for count in result["labels_per_class"]
    }
    for protocol in result["protocols"]:
        rows = [cells[protocol, count] for count in result["labels_per_class"]]
        label = result.get("protocol_details", {}).get(protocol, {}).get("label", protocol)
        results = (_cell(row, bold=row["mean"] == best[row["labels_per_class"]]) for row in rows)
        table.add_row(plain(label), *results)
    return table


def figures(table: dict[str, Any]) -> Table:
    """An entry of `"tables"`: see `likewise.runs.table`."""
    shown = Table(title=plain(table["title"]), caption=plain(table["caption"]))
    for column, (name, unit) in enumerate(zip(table["head"], table["units"], strict=True)):
        numbers = any(not isinstance(row[column], str | None) for row in table["rows"])
        shown.add_column(
            plain(f"{name}, {unit}" if unit else name), justify="right" if numbers else "left", overflow="fold"
        )
    for row in table["rows"]:
        shown.add_row(*(_figure(value, unit) for value, unit in zip(row, table["units"], strict=True)))
    return shown


def _figure(value: str | int | float | None, unit: str) -> str | Text:
    """A share times 100, large and whole numbers as whole ones, others to three digits."""
    if value is None or isinstance(value, str):
        return plain(value or "–")
    if unit == "%" or not math.isfinite(value):
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def _cell(row: dict[str, Any], *, bold: bool) -> str:
    text = f"{100 * row['mean']:.1f}"
    if row["high"] is not None:
        text += f" ± {100 * (row['high'] - row['mean']):.1f}"
    return f"[bold]{text}[/bold]" if bold else text
