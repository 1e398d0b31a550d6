"""`--resume` with more epochs: the training goes on as if it had been begun with them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from interrupted import interrupted_at
from likewise.errors import Interrupted, UserError
from likewise.methods.base import Method

TRAINING: dict[str, Any] = {"batch_size": 128, "precision": "32-true", "devices": 1}
STEPS = 1297 // 128  # of an epoch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(out: Path, epochs: int, **more: Any) -> lw.Run:
    return lw.pretrain("digits", epochs=epochs, out=out, **TRAINING, **{"progress": False, **more})


def test_a_finished_run_that_is_extended_has_the_bits_of_one_long_training(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, 2, schedule="constant")
    train(parts, 1, schedule="constant")
    (parts / "evaluation.json").write_text("{}")
    run = train(parts, 2, schedule="constant", resume=True)
    assert (parts / "encoder.safetensors").read_bytes() == (whole / "encoder.safetensors").read_bytes()
    config = json.loads((parts / "config.json").read_text())
    assert config["recipe"]["epochs"] == 2
    (extension,) = config["extensions"]
    assert (extension["from_epochs"], extension["epochs"], extension["step"]) == (1, 2, STEPS)
    assert extension["seconds"] > 0
    assert "--epochs 2" in config["command"]
    assert run.finished
    assert (parts / "evaluation-1-epochs.json").exists()
    assert not (parts / "evaluation.json").exists()


def test_the_schedule_is_that_of_the_longer_training_from_the_first_step_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "run", 1, warmup_epochs=0, lr=0.001)
    rates = []
    training_step = Method.training_step

    def watched(self: Method, *arguments: Any) -> Any:
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return training_step(self, *arguments)

    monkeypatch.setattr(Method, "training_step", watched)
    train(tmp_path / "run", 2, warmup_epochs=0, lr=0.001, resume=True, progress=True)
    expected = [0.0005 * (1 + math.cos(math.pi * step / (2 * STEPS))) for step in range(STEPS, 2 * STEPS)]
    assert rates == pytest.approx(expected)
    assert f"extended from 1 to 2 epochs: step {STEPS} is followed by the cosine schedule of {2 * STEPS} steps" in (
        capsys.readouterr().err
    )


def test_an_extension_that_is_interrupted_is_not_finished_and_goes_on(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, 2, schedule="constant")
    train(parts, 1, schedule="constant")
    with interrupted_at(STEPS + 4), pytest.raises(Interrupted, match="--epochs 2"):
        train(parts, 2, schedule="constant", resume=True)
    assert not lw.open_run(parts).finished
    run = train(parts, 2, schedule="constant", resume=True)
    assert (parts / "encoder.safetensors").read_bytes() == (whole / "encoder.safetensors").read_bytes()
    assert len(run.config["extensions"]) == 1


def test_fewer_epochs_than_done_are_refused(tmp_path: Path) -> None:
    train(tmp_path / "run", 2)
    with pytest.raises(UserError, match=r"epochs must be at least the 2 of .*run, got 1: .* shortens none"):
        train(tmp_path / "run", 1, resume=True)
    assert lw.open_run(tmp_path / "run").finished


def test_a_finished_run_without_a_checkpoint_is_not_begun_anew(tmp_path: Path) -> None:
    run = train(tmp_path / "run", 1)
    for path in (run.path / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no sound checkpoint to go on from"):
        train(tmp_path / "run", 2, resume=True)
    assert lw.open_run(tmp_path / "run").finished
