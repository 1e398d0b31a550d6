"""The result on screen."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def render_table(result: dict[str, Any]) -> Table:
    """A row for each way, a column for each number of labels: accuracy ± half its 95 % interval, in percent.

    `result` is the contents of `evaluation.json`. The best mean of a column is bold.
    """
    seeds = result["seeds"]
    table = Table(
        title=f"accuracy on {result['test']}, %",
        caption=f"mean ± 95 % interval over {seeds} seeds; chance {100 * result['chance']:.1f}, "
        f"most frequent class {100 * result['majority']:.1f}",
    )
    table.add_column("labels per class")
    for count in result["labels_per_class"]:
        table.add_column(str(count), justify="right")
    cells = {(row["way"], row["labels_per_class"]): row for row in result["summary"]}
    best = {
        count: max(row["mean"] for row in result["summary"] if row["labels_per_class"] == count)
        for count in result["labels_per_class"]
    }
    for way in result["ways"]:
        rows = [cells[way, count] for count in result["labels_per_class"]]
        table.add_row(way, *(_cell(row, bold=row["mean"] == best[row["labels_per_class"]]) for row in rows))
    return table


def _cell(row: dict[str, Any], *, bold: bool) -> str:
    text = f"{100 * row['mean']:.1f}"
    if row["high"] is not None:
        text += f" ± {100 * (row['high'] - row['mean']):.1f}"
    return f"[bold]{text}[/bold]" if bold else text
