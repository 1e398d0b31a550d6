"""The error rates of speech recognition on screen."""

from __future__ import annotations

from rich.table import Table

from likewise.console import plain
from likewise.runs.evaluation_table import accuracy, is_clear, points
from likewise.runs.recognition import NAMES, Recognition


def recognition_tables(recognition: Recognition, test: str) -> list[Table]:
    """Character and word error rates, a row for each protocol, and their paired differences."""
    seeds = recognition["seeds"]
    over = f"mean ± 95 % interval over {seeds} seeds" if seeds > 1 else "one seed"
    tables = []
    for measure, name in NAMES.items():
        table = _by_recordings(recognition, f"{name} on {test}, %", f"{over}; less is better")
        best = {
            count: min(
                (row["mean"] for p in recognition.protocols if (row := recognition.summary(p, count, measure))),
                default=0.0,
            )
            for count in recognition.counts
        }
        for protocol in recognition.protocols:
            rows = [(count, recognition.summary(protocol, count, measure)) for count in recognition.counts]
            cells = [
                "–" if row is None else f"[bold]{accuracy(row)}[/bold]" if row["mean"] == best[count] else accuracy(row)
                for count, row in rows
            ]
            table.add_row(plain(recognition.details(protocol).get("label", protocol)), *cells)
        constant = f"{100 * recognition['baseline'][measure]:.1f}"
        table.add_row("Always the commonest transcript", *[constant] * len(recognition.counts))
        tables.append(table)
    if recognition["differences"]:
        tables.append(_differences(recognition))
    return tables


def _differences(recognition: Recognition) -> Table:
    several = any(row["low"] is not None for row in recognition["differences"])
    note = "mean ± 95 % interval; bold where the interval is on one side of 0" if several else "one seed"
    title = "paired differences of the character error rate, percentage points"
    table = _by_recordings(recognition, title, f"seed by seed, on the same recordings; below 0: fewer errors; {note}")
    for protocol, versus in recognition.compared:
        rows = [recognition.difference(protocol, versus, count) for count in recognition.counts]
        cells = [
            "–" if row is None else f"[bold]{points(row)}[/bold]" if is_clear(row) else points(row) for row in rows
        ]
        table.add_row(plain(f"{protocol} - {versus}"), *cells)
    return table


def _by_recordings(recognition: Recognition, title: str, caption: str) -> Table:
    table = Table(title=plain(title), caption=caption)
    table.add_column("recordings with transcripts")
    for count in recognition.counts:
        table.add_column(str(count), justify="right")
    return table
