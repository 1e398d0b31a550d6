"""Two processes: one training, one run folder, every process sees the negatives of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from processes import check_near, each_trained, in_processes, kept_weights


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
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_a_study_by_two_processes_is_told_once(likewise, tmp_path: Path) -> None:
    words = (
        "study digits --epochs 2 --batch-size 128 --precision 32-true --devices 2 --labels-per-class 1 --seeds 1 --json"
    )
    done = likewise(*words.split())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"] == "digits:test"
    assert (tmp_path / "runs" / "digits-simclr" / "report.html").exists()


NAMED = ("simclr", "byol", "barlow-twins")
OTHERS = ("nnclr", "siamese", "simsiam", "vicreg", "vicregl", "swav", "deepcluster", "dino", "moco-v3")
QUICK = {"epochs": 1, "batch_size": 128}
STEPS = 10
"""Of the shortest of these trainings."""
APART = 1e-6
"""Of the weights' norm: the rounding of float64, which training multiplies."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_two_processes_end_where_one_does(name: str, tmp_path: Path) -> None:
    first, second = (ended[name] for ended in in_processes(2, each_trained, tmp_path, {name: {"devices": 2}}))
    assert first["error"] is None, first["error"]
    assert all(torch.equal(first["weights"][key], value) for key, value in second["weights"].items())
    assert first["broadcasts"] < STEPS
    check_near(kept_weights(name, tmp_path / "one"), first["weights"], APART)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    how = {name: QUICK | {"devices": 2} for name in OTHERS}
    return in_processes(2, each_trained, tmp_path_factory.mktemp("others"), how)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_two_processes_end_where_one_does_with_other_methods(name: str, others: dict[str, Any], tmp_path: Path) -> None:
    assert others[name]["error"] is None, others[name]["error"]
    assert others[name]["broadcasts"] < STEPS  # banks, queues and statistics are sent at the beginning, not every step
    check_near(kept_weights(name, tmp_path, **QUICK), others[name]["weights"], APART)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped(tmp_path: Path) -> None:
    name, folder = "byol", tmp_path / "two"
    kept_weights(name, folder, stop_at=7)
    resumed = in_processes(2, each_trained, folder, {name: {"resume": True, "devices": 2}})[0][name]
    assert resumed["error"] is None, resumed["error"]
    check_near(kept_weights(name, tmp_path / "one"), resumed["weights"], APART)
