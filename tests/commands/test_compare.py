"""`likewise compare`, as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import likewise as lw
from likewise.cli import main


@pytest.fixture(scope="module")
def runs(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A run, the same encoder untrained but for a few steps, and one without evaluation."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(digits_run, folder / "one")
    how: dict[str, Any] = {"encoder": "resnet8", "precision": "32-true", "progress": False}
    lw.pretrain("digits", out=folder / "other", epochs=1, lr=1e-7, **how)
    shutil.copytree(digits_run, folder / "plain", ignore=shutil.ignore_patterns("evaluation.json"))
    for name, protocols in (("one", ["frozen", "fine-tuned"]), ("other", ["frozen"])):
        lw.evaluate(folder / name, labels_per_class=[1, 5], seeds=3, steps=2, protocols=protocols, progress=False)
    return [str(folder / name) for name in ("one", "other", "plain")]


def test_accuracies_are_compared_seed_by_seed(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs[:2], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels_per_class"] == 5
    assert [run["run"] for run in found["runs"]] == runs[:2]
    assert [run["method"] for run in found["runs"]] == ["simclr", "simclr"]
    one, other = ([t["accuracy"] for t in lw.open_run(run).evaluation.trials("frozen", 5)] for run in runs[:2])
    (row,) = found["differences"]
    test = stats.ttest_rel(other, one).confidence_interval(0.95)
    assert (row["run"], row["versus"], row["protocol"], row["seeds"]) == (runs[1], runs[0], "frozen", 3)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((np.mean(other) - np.mean(one), *test))
    assert found["runs"][0]["accuracy"]["fine-tuned"]["seeds"] == 3
    assert "fine-tuned" not in found["runs"][1]["accuracy"]
    assert found["notes"] == []


def test_the_table_says_what_is_missing(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs, "--labels-per-class", "1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    note = f"{runs[2]} is not evaluated: `likewise evaluate {runs[2]}`, with --train and --test where"
    assert note.replace(" ", "") in text.replace(" ", "")
    for words in ("effective rank", "LiDAR", "verdict", "resnet8", "against the", "simclr"):
        assert words in text


def test_other_test_data_is_not_compared(runs: list[str], tmp_path: Path) -> None:
    shutil.copytree(runs[1], tmp_path / "elsewhere")
    path = tmp_path / "elsewhere" / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test": "another"}))
    found = lw.compare(runs[0], tmp_path / "elsewhere")
    assert found.differences == []
    assert found.notes == [f"{tmp_path / 'elsewhere'} was evaluated on other data than {runs[0]}: no paired difference"]


def test_mistakes(runs: list[str], refused: Any) -> None:
    assert refused("compare", runs[0]) == "runs must be two or more, got 1: likewise compare RUN RUN"
    assert refused("compare", runs[0], runs[0]) == f"runs must be different folders, got {runs[0]} twice"
    told = refused("compare", *runs, "--labels-per-class", "7")
    assert told == "labels_per_class must be a number that was measured: 1, 5, got 7"
    assert refused("compare", runs[0], "nowhere").startswith("no run folder nowhere")
