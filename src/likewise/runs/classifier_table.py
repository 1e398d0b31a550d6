"""What is known of a classifier, as tables of the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from likewise.console import count_of, plain

SHOWN_CLASSES = 30
TITLES = {
    "classification": "one class a sample",
    "multilabel": "several labels a sample",
    "regression": "numbers",
    "segmentation": "a class for each pixel",
    "detection": "boxes of things",
}


def render_classifier(path: Path, info: dict[str, Any]) -> RenderableType:
    """Its figures, then its classes, then what people should know."""
    parts: list[RenderableType] = [_figures(path, info)]
    if info["classes"]:
        parts.append(_classes(info))
    return Group(*parts, *(plain(note) for note in info["notes"]))


def _figures(path: Path, info: dict[str, Any]) -> Table:
    found, labels = info["cross_validation"], info["labels"]["samples"]
    caption = None
    if found is not None:
        caption = f"cross-validation: {found['folds']} folds, {count_of(found['samples'], 'sample')}; 95 % intervals"
    table = Table(title=plain(f"{path}: {TITLES[info['task']]}"), caption=caption, show_header=False)
    table.add_row("labels", f"{labels:,}")
    if tile := info.get("tile"):
        table.add_row("tiles", f"{tile:,} x {tile:,} pixels")
    if tuned := info.get("fine_tuned"):
        table.add_row("encoder", f"fine-tuned, {count_of(tuned['steps'], 'step')}")
    for name, value in _rows(info, found) if found is not None else ():
        table.add_row(name, value)
    return table


def _rows(info: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "accuracy" in found:
        yield "accuracy", percent(found["accuracy"])
        yield "balanced accuracy", percent(found["balanced_accuracy"])
        yield "accuracy of always the commonest class", f"{found['commonest']:.1%}"
    if "exact_match" in found:
        yield "all labels of a sample right", percent(found["exact_match"])
        yield "F1, all labels together", f"{found['micro_f1']:.3f}"
        yield "F1, mean over labels", f"{found['macro_f1']:.3f}"
    if "r2" in found:
        error = found["mean_absolute_error"]
        yield "R²", f"{found['r2']:.3f}"
        yield "mean absolute error", f"{error['mean']:.4g} ({error['low']:.4g} to {error['high']:.4g})"
        yield "mean absolute error of always the mean", f"{found['of_the_mean']:.4g}"
    if "calibration_error" in found:
        error = found["calibration_error"]
        yield "expected calibration error", f"{error['after']:.3f} (before calibration {error['before']:.3f})"
    if abstaining := found.get("abstaining"):
        yield "abstains below a probability of", f"{info['threshold']:.3f}"
        right = "–" if abstaining["accuracy"] is None else percent(abstaining["accuracy"])
        yield "answers, share of the samples", f"{abstaining['coverage']:.1%}"
        yield "accuracy of these answers", right


def _classes(info: dict[str, Any]) -> Table:
    found = info["cross_validation"] or {}
    measures = [name for name in ("recall", "precision") if found.get(name) is not None]
    table = Table("class", "labels", *measures, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    # The classes that are found least often are those to look at.
    recalls = found.get("recall") or [None] * len(info["classes"])
    order = sorted(range(len(recalls)), key=lambda i: 1.0 if recalls[i] is None else recalls[i])
    shown = order[:SHOWN_CLASSES] if len(order) > SHOWN_CLASSES else range(len(order))
    for i in shown:
        cells = ["–" if found[name][i] is None else f"{found[name][i]:.1%}" for name in measures]
        table.add_row(plain(info["classes"][i]), f"{info['counts'][i]:,}", *cells)
    if len(order) > SHOWN_CLASSES:
        table.caption = f"the {SHOWN_CLASSES} classes of lowest recall, of {len(order):,}"
    return table


def percent(measure: dict[str, float]) -> str:
    """A share with its interval."""
    return f"{measure['mean']:.1%} ({measure['low']:.1%} to {measure['high']:.1%})"
