"""Two processes: one training, one run folder, every process sees the negatives of all."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import likewise as lw
from likewise.modules.batch_norm import WholeBatchNorm
from processes import in_processes, trained


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


NAMED = ("simclr", "byol", "barlow-twins")
OTHERS = ("nnclr", "siamese", "simsiam", "vicreg", "vicregl", "swav", "deepcluster", "dino", "moco-v3")
QUICK = {"epochs": 1, "batch_size": 128}
APART = 1e-6
"""Of the weights' norm: the rounding of float64, which training multiplies."""


def weights(name: str, folder: Path, devices: int, **how: Any) -> dict[str, Tensor]:
    """The kept encoder after a training; its layers are its own again."""
    method = trained(name, folder / name, devices=devices, **how)
    assert not any(isinstance(layer, WholeBatchNorm) for layer in method.modules())
    return {key: value for key, value in method.deployed_encoder.state_dict().items() if value.is_floating_point()}


def each_trained(folder: Path, names: tuple[str, ...], how: dict[str, Any]) -> dict[str, dict[str, Tensor] | str]:
    ended: dict[str, dict[str, Tensor] | str] = {}
    for name in names:
        try:
            ended[name] = weights(name, folder, 2, **how)
        except Exception:
            ended[name] = traceback.format_exc()
    return ended


def norm(values: list[Tensor]) -> float:
    return float(torch.stack([value.double().square().sum() for value in values]).sum().sqrt())


def check_near(one: dict[str, Tensor], two: dict[str, Tensor], most: float) -> None:
    assert one.keys() == two.keys()
    assert norm([two[name] - value for name, value in one.items()]) < most * norm(list(one.values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_two_processes_end_where_one_does(name: str, tmp_path: Path) -> None:
    first, second = in_processes(2, each_trained, tmp_path, (name,), {})
    assert not isinstance(first[name], str), first[name]
    assert all(torch.equal(first[name][key], value) for key, value in second[name].items())
    check_near(weights(name, tmp_path / "one", 1), first[name], APART)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return in_processes(2, each_trained, tmp_path_factory.mktemp("others"), OTHERS, QUICK)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_two_processes_end_where_one_does_with_other_methods(name: str, others: dict[str, Any], tmp_path: Path) -> None:
    assert not isinstance(others[name], str), others[name]
    check_near(weights(name, tmp_path, 1, **QUICK), others[name], APART)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped(tmp_path: Path) -> None:
    name, folder = "byol", tmp_path / "two"
    weights(name, folder, 1, stop_at=7)
    resumed, _ = in_processes(2, each_trained, folder, (name,), {"resume": True})
    assert not isinstance(resumed[name], str), resumed[name]
    check_near(weights(name, tmp_path / "one", 1), resumed[name], APART)
