"""The number of threads decides float32 bits: a resumed training uses the number that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from likewise.methods.base import Method


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_resumed_training_has_the_threads_it_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(epochs: int, **more: Any) -> lw.Run:
        return lw.pretrain(
            "digits", epochs=epochs, batch_size=512, precision="32-true", devices=1, out=tmp_path / "run", **more
        )

    torch.set_num_threads(1)
    run = train(1, progress=False)
    assert json.loads((run.path / "config.json").read_text())["threads"] == 1
    torch.set_num_threads(2)
    used = set()
    training_step = Method.training_step

    def watched(self: Method, *arguments: Any) -> Any:
        used.add(torch.get_num_threads())
        return training_step(self, *arguments)

    monkeypatch.setattr(Method, "training_step", watched)
    train(2, resume=True)
    assert used == {1}
    assert torch.get_num_threads() == 2
    assert "threads: 1, as the training was begun with, not the 2 of this process" in capsys.readouterr().err
