"""Signals around a training."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.methods.rotnet import RotNet
from likewise.training.callbacks.interruption import SIGNALS

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
TRAINING: dict[str, Any] = {
    "method": "rotnet", "encoder": "resnet8", "epochs": 1, "batch_size": 32, "precision": "32-true", "progress": False,
}  # fmt: skip


@pytest.mark.parametrize("number", SIGNALS)
def test_after_a_training_a_signal_does_what_it_did_before(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {n: signal.getsignal(n) for n in SIGNALS}
    received: list[int] = []
    signal.signal(number, lambda n, _: received.append(n))
    mine = signal.getsignal(number)
    try:
        lw.pretrain(IMAGES, out="run", **TRAINING)
        assert signal.getsignal(number) is mine
        assert all(signal.getsignal(n) is handler for n, handler in before.items() if n != number)
        signal.raise_signal(number)
        assert received == [number]
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_ignored_signal_does_not_end_a_training(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nohup` ignores SIGHUP, and a shell ignores SIGINT for what it starts in the background."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(number, signal.SIG_IGN)
    step = RotNet.training_step

    def signalled(self: RotNet, *batch: Any) -> Any:
        signal.raise_signal(number)
        return step(self, *batch)

    monkeypatch.setattr(RotNet, "training_step", signalled)
    try:
        run = lw.pretrain(IMAGES, out="run", **TRAINING)
        assert run.finished
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
