"""Checkpoints and histories on the disk, when things go wrong."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.atomic import write_atomically, write_text
from likewise.errors import UserError
from likewise.runs.history import History
from likewise.training.callbacks.checkpoints import (
    AtomicCheckpointIO,
    all_checkpoints,
    checkpoint_path,
    newest,
    sound,
    step_of,
)
from likewise.training.callbacks.history import HistoryLogger


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(file: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io = AtomicCheckpointIO()
    good, next_one = checkpoint_path(tmp_path, 1), checkpoint_path(tmp_path, 2)
    io.save_checkpoint({"weights": torch.ones(3)}, good)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=f"the disk is full; the last good checkpoint stays: {good}; free some space"):
        io.save_checkpoint({"weights": torch.zeros(3)}, next_one)
    assert list(tmp_path.iterdir()) == [good]
    assert io.load_checkpoint(good)["weights"].tolist() == [1, 1, 1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_what_torch_makes_of_a_full_disk_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **k: path_open(Path("/dev/full") if mode == "wb" else self, mode, **k)
    )
    with pytest.raises(UserError, match="the disk is full; there is no earlier checkpoint"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(1 << 16)}, checkpoint_path(tmp_path, 2))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_the_newest_sound_checkpoint_is_found(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (5, 40, 300):
        AtomicCheckpointIO().save_checkpoint(
            {"step": step, "weights": torch.randn(1000)}, checkpoint_path(tmp_path, step)
        )
    last = checkpoint_path(tmp_path, 300)
    assert newest(tmp_path) == last
    damaged = bytearray(last.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    last.write_bytes({"flip": damaged, "cut": damaged[: len(damaged) // 2], "empty": b""}[damage])
    assert not sound(last)
    found = newest(tmp_path)
    assert found is not None
    assert step_of(found) == 40
    assert "step-00000300.ckpt is corrupt: going on from step-00000040.ckpt" in capsys.readouterr().err


def test_no_code_is_unpickled_from_a_checkpoint(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = checkpoint_path(tmp_path, 1)
    torch.save({"weights": Hostile()}, path)
    with pytest.raises(pickle.UnpicklingError):
        AtomicCheckpointIO().load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_a_history_grows_by_rows_and_columns(tmp_path: Path) -> None:
    history = HistoryLogger(tmp_path, steps_per_epoch=10, step=0)
    history.log_metrics({"loss": 2.0, "epoch": 0}, step=0)
    history.log_metrics({"loss": 1.0, "top1": 0.5}, step=9)
    assert History.load(tmp_path).rows == [
        {"step": 0, "epoch": 0.1, "loss": 2.0},
        {"step": 9, "epoch": 1.0, "loss": 1.0, "top1": 0.5},
    ]
    assert history.latest == {"loss": 1.0, "top1": 0.5}


def test_a_resumed_history_forgets_what_will_be_logged_again(tmp_path: Path) -> None:
    history = HistoryLogger(tmp_path, steps_per_epoch=10, step=0)
    for step in range(5):
        history.log_metrics({"loss": float(step)}, step=step)
    resumed = HistoryLogger(tmp_path, steps_per_epoch=10, step=3)
    resumed.log_metrics({"loss": 30.0}, step=3)
    assert [row["loss"] for row in History.load(tmp_path).rows] == [0, 1, 2, 30]


def test_no_damage_of_a_checkpoint_keeps_the_one_before_from_being_found(tmp_path: Path) -> None:
    io = AtomicCheckpointIO()
    good, damaged = checkpoint_path(tmp_path, 1), checkpoint_path(tmp_path, 2)
    for path in (good, damaged):
        io.save_checkpoint({"weights": torch.arange(50.0), "step": 3, "name": "simclr"}, path)
    content, random = damaged.read_bytes(), np.random.default_rng(0)
    for place, bit in zip(random.integers(len(content), size=400), random.integers(8, size=400), strict=True):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        damaged.write_bytes(changed)
        found = newest(tmp_path)
        assert found is not None
        assert io.load_checkpoint(found)["weights"].tolist() == list(range(50))


def test_files_of_other_names_are_no_checkpoints(tmp_path: Path) -> None:
    for name in ("step-mine.ckpt", "step-1.ckpt", "step-00000001.ckpt.bak"):
        (tmp_path / name).touch()
    assert all_checkpoints(tmp_path) == []
    assert all_checkpoints(tmp_path / "nowhere") == []
