"""Trainings that are broken in the ways people break them are named within their first five epochs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import likewise as lw
from likewise.methods import byol, simclr, swav
from likewise.training.verdict import diagnose


def train(folder: Path, **options: Any) -> lw.Run:
    usual: dict[str, Any] = {"epochs": 5, "batch_size": 128, "encoder": "resnet8", "precision": "32-true"}
    return lw.pretrain("digits", out=folder / "run", progress=False, **(usual | options))


def kinds(run: lw.Run) -> list[str]:
    """The verdict at the end of each epoch of ten steps."""
    rows = run.history.rows
    return [diagnose([row for row in rows if row["step"] < 10 * epoch], run.chance, 10).kind for epoch in range(1, 6)]


def against_itself(scale: float) -> Any:
    """A tutorial's objective: 2n classes for 2n rows, and each row's class is the row itself."""

    def objective(self: simclr.SimCLR, first: Tensor, second: Tensor) -> Tensor:
        z1, z2 = self.embed(torch.cat([first, second])).chunk(2)
        self.track(z1, z2)
        z = F.normalize(torch.cat([z1, z2]), dim=1)
        return F.cross_entropy(scale * (z @ z.T) / 0.5, torch.arange(len(z)))

    return objective


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (1.0, "as far apart as two samples"),  # measured: 95 % of the untrained network's distance; SimCLR: 50 %
        # ln 256, five epochs running
        pytest.param(0.0, "the loss has stayed at 5.545 (chance 5.541)", marks=pytest.mark.slow),
    ],
)
def test_targets_that_are_the_rows_themselves(
    scale: float, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simclr.SimCLR, "objective", against_itself(scale))
    run = train(tmp_path, method="simclr")
    assert run.verdict is not None
    assert run.verdict.kind == "stuck"
    assert words in run.verdict.message
    assert any("targets" in cause for cause in run.verdict.causes)


@pytest.mark.slow
def test_byol_without_its_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = byol.BYOL.__init__

    @functools.wraps(build)
    def without(self: byol.BYOL, *words: Any, **options: Any) -> None:
        build(self, *words, **options)
        self.predictor = nn.Identity()

    monkeypatch.setattr(byol.BYOL, "__init__", without)
    run = train(tmp_path, method="byol")
    # The spread falls from 0.83 to 0.16 in one epoch and 0.08 in five; with its predictor it is 0.80.
    assert kinds(run)[1:] == ["collapsed-to-a-point"] * 4
    assert run.verdict is not None
    assert run.verdict.kind == "collapsed-to-a-point"


@pytest.mark.slow
def test_swav_without_sinkhorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swav, "sinkhorn", lambda scores, **_: F.softmax(scores.float() / 0.05, dim=1))
    run = train(tmp_path, method="swav")
    # The spread falls from 0.82 to 0.21 in one epoch and 0.11 in five.
    assert kinds(run)[1:] == ["collapsed-to-a-point"] * 4
    assert run.verdict is not None
    assert "same code" in run.verdict.message


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_rate_of_a_hundred(optimizer: str, tmp_path: Path) -> None:
    run = train(tmp_path, method="simclr", recipe="digits-simclr", lr=100.0, optimizer=optimizer, warmup_epochs=0.0)
    # Weights grow 10 and 2,000 times over in five steps.
    assert run.verdict is not None
    assert run.verdict.kind == "diverging"
    assert "--lr" in run.verdict.remedy
    assert kinds(run)[0] == "diverging"


def test_a_loss_that_is_no_number_is_said_to_diverge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = simclr.SimCLR.objective

    def breaks(self: simclr.SimCLR, *views: Tensor) -> Tensor:
        loss = objective(self, *views)
        return loss * float("nan") if self.global_step == 3 else loss

    monkeypatch.setattr(simclr.SimCLR, "objective", breaks)
    with pytest.raises(lw.UserError, match="diverging: the loss became NaN or infinite at step 4"):
        train(tmp_path, method="simclr")
    verdict = lw.open_run(tmp_path / "run").verdict
    assert verdict is not None
    assert verdict.kind == "diverging"
