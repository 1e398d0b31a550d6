"""A training with all schedules of a recipe ends with the same bits where it was interrupted and resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from likewise.errors import Interrupted
from likewise.methods.base import Method
from likewise.training.callbacks.checkpoints import newest

STEPS = 1297 // 128  # of an epoch
TRAINING: dict[str, Any] = {"batch_size": 128, "precision": "32-true", "devices": 1, "progress": False}
COSINE: dict[str, Any] = {
    "method": "simsiam",
    "encoder": "resnet8",
    "zero_init_residual": True,
    "projection_dim": 16,
    "prediction_dim": 8,
    "fix_predictor_lr": True,
    "optimizer": "lars",
    "lr": 0.5,
    "bias_lr": 0.05,
    "warmup_epochs": 0.5,
    "warmup_lr": 0.1,
    "final_lr": 0.01,
    "weight_decay": 0.01,
    "weight_decay_end": 0.1,
    "exclude_bias_and_norm": False,
    "augment_second": "mild",
}
MILESTONES: dict[str, Any] = {
    "method": "dino",
    "encoder": "vit_micro",
    "hidden_dim": 16,
    "projection_dim": 8,
    "prototypes": 12,
    "local_crops": 0,
    "drop_path": 0.2,
    "norm_last_layer": False,
    "init_std": 0.02,
    "betas": [0.9, 0.95],
    "schedule": "multistep",
    "milestones": [0.3, 1.2],
    "weight_decay_end": 0.4,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("recipe", [COSINE, pytest.param(MILESTONES, marks=pytest.mark.slow)])
def test_interrupted_and_resumed_is_the_same(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[list[tuple[float, float]]] = []
    training_step = Method.training_step
    instant = STEPS + 2

    def watched(self: Method, *arguments: Any) -> Any:
        if self.global_step == instant - 1 and stops:
            signal.raise_signal(signal.SIGINT)
        groups = self.trainer.optimizers[0].param_groups
        rates.append([(group["lr"], group["weight_decay"]) for group in groups])
        return training_step(self, *arguments)

    def train(out: str, **more: Any) -> lw.Run:
        return lw.pretrain("digits", epochs=2, out=tmp_path / out, **TRAINING, **recipe, **more)

    monkeypatch.setattr(Method, "training_step", watched)
    stops = False
    train("whole")
    whole, rates = rates, []
    stops = True
    with pytest.raises(Interrupted, match=f"stopped at step {instant} of"):
        train("parts")
    stops = False
    train("parts", resume=True)

    assert len(whole) == 2 * STEPS
    assert rates == whole
    assert len({each[0] for each in whole}) == 2 * STEPS  # none is like another
    paths = [newest(tmp_path / run / "checkpoints") for run in ("whole", "parts")]
    exact, got = (torch.load(path, weights_only=True) for path in paths if path is not None)
    assert [key for key, value in exact["state_dict"].items() if not torch.equal(got["state_dict"][key], value)] == []
    encoders = [(tmp_path / run / "encoder.safetensors").read_bytes() for run in ("whole", "parts")]
    assert encoders[0] == encoders[1]


@pytest.mark.slow
def test_the_weight_decay_of_a_longer_training_is_that_of_the_longer_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decays: list[float] = []
    training_step = Method.training_step

    def watched(self: Method, *arguments: Any) -> Any:
        decays.append(self.trainer.optimizers[0].param_groups[0]["weight_decay"])
        return training_step(self, *arguments)

    monkeypatch.setattr(Method, "training_step", watched)
    how = {**TRAINING, "weight_decay": 0.04, "weight_decay_end": 0.4, "encoder": "resnet8"}
    lw.pretrain("digits", epochs=1, out=tmp_path, **how)
    assert decays[0] == 0.04
    assert decays == sorted(decays)
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("betas", "exclude_bias_and_norm", "warmup_lr", "augment_second", "zero_init_residual"):
        del config["recipe"][name]  # as of an earlier version
    (tmp_path / "config.json").write_text(json.dumps(config))
    lw.pretrain("digits", epochs=2, out=tmp_path, resume=True, **how)
    assert decays[STEPS] == pytest.approx(0.22)  # half of the way
    assert 0.39 < decays[-1] < 0.4
