"""Two processes: one training, one run folder, every process sees the negatives of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import likewise as lw


@pytest.mark.slow
def test_two_processes_train_one_encoder(likewise, tmp_path: Path) -> None:
    words = "pretrain digits --epochs 3 --batch-size 128 --precision 32-true --devices 2 --strategy ddp --out run"
    done = likewise(*words.split())
    assert done.returncode == 0, done.stderr
    run = lw.open_run(tmp_path / "run")
    assert run.finished
    metrics = run.history.rows
    assert metrics[-1]["step"] == 3 * (1297 // 128) - 1
    # The loss starts at the chance level of the joined batch, not of one process's half.
    assert abs(metrics[0]["loss"] - run.chance["loss"]) < abs(metrics[0]["loss"] - (run.chance["loss"] - 0.69))
    assert metrics[-1]["loss"] < metrics[0]["loss"] - 0.3
    assert done.stderr.count("digits:train: 1,297 samples") == 1
    assert "fault" not in done.stderr


@pytest.mark.slow
def test_a_study_by_two_processes_is_told_once(likewise, tmp_path: Path) -> None:
    words = (
        "study digits --epochs 2 --batch-size 128 --precision 32-true --devices 2 --labels-per-class 1 --seeds 1 --json"
    )
    done = likewise(*words.split())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"] == "digits:test"
    assert (tmp_path / "runs" / "digits-simclr" / "report.html").exists()
