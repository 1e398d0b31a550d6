"""The section on adaptation: accuracy after each inner step, in training and in episodes of new classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import fake_run

from likewise.report.contents import Contents, read_contents
from likewise.report.sections.adaptation import adaptation
from likewise.report.sections.training import metrics
from likewise.runs.chance import ChanceLevels
from likewise.runs.evaluation import Evaluation

ROWS = 40


def columns() -> dict[str, np.ndarray]:
    """Two inner steps that learn more and more."""
    progress = np.linspace(0, 1, ROWS)
    measured = {
        "step": np.arange(ROWS, dtype=np.float64),
        "accuracy": 0.3 + 0.6 * progress,
        "accuracy_after_1": 0.25 + 0.4 * progress,
        "accuracy_after_0": np.full(ROWS, 0.2),
    }
    measured["accuracy_after_1"][5] = np.nan
    return measured


def episodes() -> Evaluation:
    rows = [
        {"features": features, "shot": shot, "step": step, "mean": 0.2 + 0.1 * step * shot, "low": 0.1, "high": 0.9}
        for features in ("Adapted encoder", "Untrained <encoder>")
        for shot in (1, 2)
        for step in range(3)
    ]
    return Evaluation({"few_shot": {"adaptation": rows, "chance": 0.2}})


def lines(plot: dict[str, Any]) -> dict[str, list[float]]:
    return {trace["name"]: trace["y"] for trace in plot["data"] if "name" in trace}


def test_training_is_shown_at_its_beginning_and_its_end(tmp_path: Path) -> None:
    section = adaptation(Contents(tmp_path, metrics=columns(), chance=ChanceLevels({"accuracy": 0.2})))
    assert section is not None
    (chart,) = section.charts
    plot = chart.variants[""]
    shown = lines(plot)
    assert list(shown) == ["at the beginning", "at the end"]
    progress = np.delete(np.linspace(0, 1, ROWS), 5)  # the row that lacks a value is left out
    for name, part in (("at the beginning", progress[:3]), ("at the end", progress[-3:])):
        exact = [0.2, 0.25 + 0.4 * part.mean(), 0.3 + 0.6 * part.mean()]
        assert shown[name] == pytest.approx(exact, rel=1e-4)
    assert plot["layout"]["shapes"][0]["y0"] == 0.2
    assert "first and over the last 3 logged steps" in chart.caption


def test_new_classes_have_a_line_for_each_encoder_and_number_of_shots(tmp_path: Path) -> None:
    section = adaptation(Contents(tmp_path, evaluation=episodes()))
    assert section is not None
    (chart,) = section.charts
    shown = lines(chart.variants[""])
    assert list(shown) == [
        f"{features}, {shot}-shot" for features in ("Adapted encoder", "Untrained &lt;encoder&gt;") for shot in (1, 2)
    ]
    assert shown["Adapted encoder, 2-shot"] == pytest.approx([0.2, 0.4, 0.6])
    assert len(chart.variants[""]["data"]) == 8  # each with the band of its interval


def test_other_runs_have_none_and_its_columns_have_no_charts_of_their_own(tmp_path: Path) -> None:
    assert adaptation(read_contents(fake_run(tmp_path))) is None
    hostile = columns() | {f"accuracy_after_{'9' * 5000}": np.ones(ROWS)}
    contents = Contents(tmp_path, metrics=columns() | hostile)
    section = metrics(contents)
    assert section is not None
    names = [chart.heading for chart in section.charts]
    assert "Accuracy on the training task" in names
    assert not any(name.startswith("Accuracy after") and "9" not in name for name in names)
