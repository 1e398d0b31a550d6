"""The result of an evaluation on screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from likewise.console import plain

SHORT = {"recall@": "R@", "mean reciprocal rank": "MRR"}
"""What tables on screen call measures with long names: a terminal may have 80 columns."""


def render_table(result: dict[str, Any], first: Sequence[Table] = ()) -> RenderableType:
    """The tables and notes of `result`, the contents of `evaluation.json`; other tables `first`."""
    tables: list[RenderableType] = [*first, *([accuracies(result)] if result.get("summary") else [])]
    tables += [uneven_accuracies(result)] if result.get("uneven") else []
    tables += [differences(result)] if result.get("differences") else []
    tables += [figures(table) for table in result.get("tables", [])]
    shown = [*tables, *map(plain, result.get("notes", []))]
    return shown[0] if len(shown) == 1 else Group(*shown)


def accuracies(result: dict[str, Any]) -> Table:
    """A row for each protocol, a column for each number of labels: accuracy ± half its 95 % interval, in percent.

    The best mean of a column is bold.
    """
    seeds = result["seeds"]
    over = f"mean ± 95 % interval over {seeds} seeds" if seeds > 1 else "one seed"
    caption = f"{over}; chance {100 * result['chance']:.1f}, most frequent class {100 * result['majority']:.1f}"
    table = _by_labels(result, f"accuracy on {result['test']}, %", caption)
    cells = {(row["protocol"], row["labels_per_class"]): row for row in result["summary"]}
    best = {
        count: max(row["mean"] for row in result["summary"] if row["labels_per_class"] == count)
        for count in result["labels_per_class"]
    }
    for protocol in result["protocols"]:
        rows = [cells[protocol, count] for count in result["labels_per_class"]]
        results = (_cell(row, bold=row["mean"] == best[row["labels_per_class"]]) for row in rows)
        table.add_row(plain(_label(result, protocol)), *results)
    return table


def _by_labels(result: dict[str, Any], title: str, caption: str | None = None) -> Table:
    """A table with a column for each number of labels, and no rows yet."""
    table = Table(title=plain(title), caption=caption)
    table.add_column("labels per class")
    for count in result["labels_per_class"]:
        table.add_column(str(count), justify="right")
    return table


def _label(result: dict[str, Any], protocol: str) -> str:
    return str(result.get("protocol_details", {}).get(protocol, {}).get("label", protocol))


def uneven_accuracies(result: dict[str, Any]) -> Table:
    """Measures in which each class counts the same: balanced accuracy / macro-F1, means over seeds in percent."""
    table = _by_labels(result, "classes are uneven: balanced accuracy / macro-F1, %")
    cells = {(row["protocol"], row["labels_per_class"]): row for row in result["summary"]}
    for protocol in result["protocols"]:
        rows = [cells[protocol, count] for count in result["labels_per_class"]]
        shown = (balanced(row) for row in rows)
        table.add_row(plain(_label(result, protocol)), *shown)
    return table


def balanced(row: dict[str, Any]) -> str:
    """A row of the summary as "70.1 / 65.3": balanced accuracy and macro-F1 in percent, where they are known."""
    found = (row.get(name) for name in ("balanced_accuracy", "macro_f1"))
    return " / ".join("–" if share is None else f"{100 * share:.1f}" for share in found)


def differences(result: dict[str, Any]) -> Table:
    """A row for each pair of protocols that is compared: the paired difference ± half its 95 % interval, in points."""
    several = any(row["low"] is not None for row in result["differences"])
    interval = "mean ± 95 % interval; bold where the interval is on one side of 0" if several else "one seed"
    caption = f"seed by seed, on the same labels; {interval}"
    table = _by_labels(result, "paired differences of accuracy, percentage points", caption)
    cells = {(row["protocol"], row["versus"], row["labels_per_class"]): row for row in result["differences"]}
    for protocol, versus in dict.fromkeys((one, other) for one, other, _ in cells):
        rows = [cells.get((protocol, versus, count)) for count in result["labels_per_class"]]
        name = f"{protocol} - {versus}"
        table.add_row(plain(name), *("–" if row is None else _difference(row) for row in rows))
    return table


def _difference(row: dict[str, Any]) -> str:
    text = points(row)
    return f"[bold]{text}[/bold]" if is_clear(row) else text


def is_clear(row: dict[str, Any]) -> bool:
    """Whether the interval of a difference is on one side of 0."""
    return row["low"] is not None and (row["low"] > 0 or row["high"] < 0)


def points(row: dict[str, Any]) -> str:
    """A difference of accuracies as "+6.1 ± 2.0" percentage points; without an interval of a single seed."""
    text = f"{100 * row['mean']:+.1f}".replace("-", "\N{MINUS SIGN}")
    return text if row["high"] is None else f"{text} ± {100 * (row['high'] - row['mean']):.1f}"


def figures(table: dict[str, Any]) -> Table:
    """An entry of `"tables"`: see `likewise.runs.table`."""
    head = table["head"]
    explained = [f"{short}: {long}" for long, short in SHORT.items() if any(long in name for name in head)]
    caption = "; ".join(text for text in (table.get("caption"), *explained) if text)
    shown = Table(title=plain(table["title"]), caption=plain(caption))
    columns = list(zip(*table["rows"], strict=True)) or [()] * len(head)
    for name, unit, values in zip(head, table["units"], columns, strict=True):
        numbers = any(not isinstance(value, str | None) for value in values)
        for long, short in SHORT.items():
            name = name.replace(long, short)
        words = f"{name}, {unit}" if unit else name
        # What a narrow terminal breaks into lines are names, between their words.
        least = max(map(cell_len, [*words.split(), *(str(_figure(value, unit)) for value in values)]), default=1)
        shown.add_column(
            plain(words),
            justify="right" if numbers else "left",
            overflow="fold",
            min_width=least if numbers else None,
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
    return f"[bold]{accuracy(row)}[/bold]" if bold else accuracy(row)


def accuracy(row: dict[str, Any]) -> str:
    """A row of the summary as "87.3 ± 1.2", in percent; without an interval of a single seed."""
    text = f"{100 * row['mean']:.1f}"
    return text if row["high"] is None else f"{text} ± {100 * (row['high'] - row['mean']):.1f}"
