"""Accuracy after each step of an inner loop: in training, and in the episodes of an evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from likewise.report import charts
from likewise.report.charts import Chart
from likewise.report.contents import Contents
from likewise.report.pieces import Section, grid

COLUMN = re.compile(r"accuracy_after_(\d{1,4})")
"""Of metrics.csv, by the inner steps done; `accuracy` is that after the last."""
SHARE = 10
"""The beginning and the end of a training are each a tenth of its rows."""

Row = dict[str, Any]
"""step, mean, low, high."""


def adaptation(contents: Contents) -> Section | None:
    """How far fine-tuning on a few samples comes, step by step, from the weights that were learned."""
    plots = [*_in_training(contents), *_in_episodes(contents)]
    if not plots:
        return None
    text = (
        "In each episode the weights take a few steps of gradient descent on the support. Shown is the accuracy on the "
        "queries before the first of these inner steps, where the head is zero and every class is as likely, and after "
        "each of them. Dashed is chance."
    )
    return Section("Adaptation", Markup("<p>{}</p>{}").format(text, grid(plots, "two")), plots)


def by_inner_step(metrics: Mapping[str, Float[np.ndarray, " n"]]) -> dict[int, Float[np.ndarray, " n"]]:
    """The columns with the accuracy after each of the inner steps."""
    found = {int(match[1]): name for name in metrics if (match := COLUMN.fullmatch(name))}
    columns = {step: metrics[name] for step, name in sorted(found.items())}
    return columns | ({max(columns) + 1: metrics["accuracy"]} if columns and "accuracy" in metrics else {})


def _in_training(contents: Contents) -> list[Chart]:
    columns = by_inner_step(contents.metrics)
    if not columns:
        return []
    table = np.stack(list(columns.values()), axis=1)
    table = table[np.isfinite(table).all(1)]
    if not len(table):
        return []
    some = max(1, len(table) // SHARE)
    parts = {"at the beginning": table[:some].mean(0), "at the end": table[-some:].mean(0)}
    curves: dict[str, list[Row]] = {
        name: [
            {"step": step, "mean": value, "low": None, "high": None}
            for step, value in zip(columns, values, strict=True)
        ]
        for name, values in parts.items()
    }
    caption = f"Episodes of the training, mean over the first and over the last {some:,} logged steps."
    plot = charts.accuracy_by_step(curves, contents.chance.get("accuracy"))
    return [Chart("adaptation-training", caption, {"": plot}, heading="In training")]


def _in_episodes(contents: Contents) -> list[Chart]:
    few_shot = {} if contents.evaluation is None else contents.evaluation.get("few_shot", {})
    rows = few_shot.get("adaptation", [])
    if not rows:
        return []
    curves = {
        f"{features}, {shot}-shot": list(its)
        for (features, shot), its in groupby(rows, key=lambda row: (row["features"], row["shot"]))
    }
    caption = "Episodes of classes that the encoder has not learned from. The band is the 95 % interval over episodes."
    plot = charts.accuracy_by_step(curves, few_shot.get("chance"))
    return [Chart("adaptation-episodes", caption, {"": plot}, heading="On new classes")]
