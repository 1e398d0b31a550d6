"""--probe: labelled data is asked each epoch, and the training does not notice. And what the verdict leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import likewise as lw

QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 16, "precision": "32-true", "progress": False}


pytestmark = pytest.mark.usefixtures("working_folder")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(6 * 9, 12)
    )


def labelled_images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (np.arange(64) % 4 > 0).astype(np.int64)
    images = rng.integers(0, 60, (64, 8, 8)).astype(np.uint8)
    images[labels == 1, 2:6] += 150
    return images, labels


def test_a_probed_training_ends_with_the_same_bits() -> None:
    images, labels = labelled_images()
    plain = lw.pretrain(images, encoder=network(), out="plain", seed=3, **QUICK)
    probed = lw.pretrain(images, encoder=network(), out="probed", seed=3, probe=(images, labels), **QUICK)
    weights = [run.path.joinpath("encoder.safetensors").read_bytes() for run in (plain, probed)]
    assert weights[0] == weights[1]
    asked = {row["step"]: row["probe"] for row in probed.history.rows if "probe" in row}
    assert list(asked) == [0, 3, 7, 11]  # before the first step, then at the end of each epoch of 4 steps
    assert all(accuracy > 0.9 for accuracy in asked.values())
    assert probed.chance["probe"] == 0.75
    assert [row["loss"] for row in plain.history.rows] == [row["loss"] for row in probed.history.rows]


def test_labels_that_mean_nothing_are_found_no_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (500, 8, 8)).astype(np.uint8)
    run = lw.pretrain(images, encoder=network(), out="run", probe=(images, rng.integers(0, 2, 500)), **QUICK)
    assert all(abs(row["probe"] - 0.5) < 0.1 for row in run.history.rows if "probe" in row)


def test_a_probe_without_labels_is_told_before_the_training() -> None:
    images, _ = labelled_images()
    with pytest.raises(lw.UserError, match="labels"):
        lw.pretrain(images, encoder=network(), out="run", probe=images, **QUICK)
    assert not Path("run").exists()


@pytest.mark.slow
def test_the_command_says_the_probe_and_json_the_verdict(likewise: Any, tmp_path: Path) -> None:
    words = (
        "pretrain digits --epochs 2 --batch-size 128 --encoder resnet8 --precision 32-true --probe digits:test --json"
    )
    done = likewise(*words.split(), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["probe"] == "digits:test"
    assert "--probe digits:test" in said["command"]
    assert said["method"]["supervised"] is False
    assert said["verdict"] == json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert said["verdict"]["step"] == 20
    assert said["verdict"]["message"] in done.stderr
    last = done.stderr.splitlines()[-2]
    assert "loss" in last
    assert "(chance 5.541)" in last
    assert "probe" in last
    assert 0.05 < lw.open_run(tmp_path / "run").chance["probe"] < 0.2
    page = lw.write_report(tmp_path / "run").read_text()
    assert said["verdict"]["message"] in page
    assert "measured-probe" in page


def test_seconds_are_those_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.training.callbacks import progress
    from likewise.training.callbacks.interruption import Interruption

    images, _ = labelled_images()
    clock = iter(range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    whole = lw.pretrain(images, encoder=network(), out="whole", **QUICK).config["seconds"]

    ended = Interruption.on_train_batch_end

    def stop_half_way(self: Any, trainer: Any, *rest: Any) -> None:
        self.asked = trainer.global_step == 6
        ended(self, trainer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_train_batch_end", stop_half_way)
        with pytest.raises(KeyboardInterrupt):
            lw.pretrain(images, encoder=network(), out="parts", **QUICK)
    resumed = lw.pretrain(images, encoder=network(), out="parts", resume=True, **QUICK).config
    assert resumed["seconds"] == pytest.approx(whole, rel=0.3)
    assert resumed["samples_per_second"] == pytest.approx(12 * 16 / resumed["seconds"], abs=0.06)
