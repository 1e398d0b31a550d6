"""What is said of a training while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import lightning as L
import pytest
from torch import nn

from likewise.methods.base import Method, TrainingContext
from likewise.training.callbacks.health import HealthMonitor
from likewise.training.callbacks.history import HistoryLogger


class Network(nn.Module):
    dim = 3


class Known(Method):
    """A method that knows a trivial solution of its own."""

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        return "codes say nothing: try --beta 0.1" if figures.get("kl", 1.0) < 0.01 else None


@pytest.mark.parametrize(("kl", "kind"), [(0.001, "trivial"), (1.0, "learning")])
def test_a_trivial_solution_that_the_method_knows_of_is_named(
    kl: float, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = HistoryLogger(tmp_path, steps_per_epoch=10, step=0)
    for step in range(60):
        history.log_metrics({"loss": 5.0 - step / 20, "kl": kl}, step=step)
    context = TrainingContext(samples=100, batch_size=10, steps=60, steps_per_epoch=10)
    health = HealthMonitor(history, tmp_path, chance={}, context=context, show=True)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    health.on_train_end(trainer, Known(Network()))

    assert health.verdict is not None
    assert health.verdict.kind == json.loads((tmp_path / "verdict.json").read_text())["kind"] == kind
    assert health.verdict.alarm == (kind == "trivial")
    assert ("--beta 0.1" in capsys.readouterr().err) == (kind == "trivial")
