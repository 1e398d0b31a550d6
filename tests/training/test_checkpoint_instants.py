"""A training that ends right after a checkpoint was written, before anything else is."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.training.callbacks.checkpoints import Checkpoints

OF_THE_CLOCK = {"samples_per_second"}


class Killed(Exception):
    pass


def test_the_history_has_what_the_checkpoint_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    training = {"method": "rotnet", "encoder": "resnet8", "epochs": 1, "batch_size": 16}
    training |= {"precision": "32-true", "progress": False}
    lw.pretrain(images, out="whole", **training)
    save = Checkpoints.save

    def save_and_end(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        if trainer.global_step == 3:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", save_and_end)
    with pytest.raises(Killed):
        lw.pretrain(images, out="killed", checkpoint_minutes=0.0001, **training)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    lw.pretrain(images, out="killed", resume=True, **training)
    assert rows("killed") == rows("whole")
    assert (tmp_path / "killed/verdict.json").read_text() == (tmp_path / "whole/verdict.json").read_text()


def rows(run: str) -> list[dict[str, str]]:
    with Path(run, "metrics.csv").open() as file:
        return [{name: cell for name, cell in row.items() if name not in OF_THE_CLOCK} for row in csv.DictReader(file)]
