"""What is measured of embeddings while a method trains."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from likewise.runs.history import History
from likewise.training.callbacks.diagnostics import ROWS, matching_chance, measure, total_norm
from likewise.training.callbacks.history import HistoryLogger


def test_a_point_is_told_from_a_sphere_and_from_a_line() -> None:
    generator = torch.Generator().manual_seed(0)
    sphere = torch.randn(128, 32, generator=generator)
    point = torch.ones(128, 32) + 1e-3 * sphere
    line = sphere[:, :1] * torch.ones(1, 32)
    figures = {name: measure(z, z) for name, z in (("sphere", sphere), ("point", point), ("line", line))}
    assert figures["sphere"]["spread"] == pytest.approx(1.0, abs=0.05)
    assert figures["point"]["spread"] < 0.01
    assert figures["sphere"]["effective_rank"] > 25
    assert figures["line"]["effective_rank"] == pytest.approx(1.0, abs=0.01)
    assert figures["sphere"]["uniformity"] < -3
    assert figures["point"]["uniformity"] == pytest.approx(0.0, abs=1e-3)


def test_views_that_meet_are_told_from_views_that_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    first, other = torch.randn(2, 64, 32, generator=generator)
    together, apart = measure(first, first + 0.1 * other), measure(first, other)
    assert together["top1"] == 1
    assert together["alignment"] < 0.05
    assert apart["top1"] < 0.1
    assert apart["alignment"] == pytest.approx(2.0, abs=0.2)
    assert together["pair_distance"] < 0.02
    assert apart["pair_distance"] == pytest.approx(1.0, abs=0.1)
    shift = 10 * torch.ones(32)  # nearly a point: alignment is near 0 whether or not views meet
    assert measure(first + shift, other + shift)["pair_distance"] == pytest.approx(1.0, abs=0.1)


def test_chance_is_that_of_the_rows_that_are_measured() -> None:
    assert matching_chance(128) == {"top1": 1 / 255, "top5": 5 / 255}
    assert matching_chance(4096) == matching_chance(ROWS) == {"top1": 1 / (2 * ROWS - 1), "top5": 5 / (2 * ROWS - 1)}
    assert matching_chance(2) == {"top1": 1 / 3, "top5": 1.0}
    assert matching_chance(128, cross_modal=True) == {"top1": 1 / 128, "top5": 5 / 128}
    generator = torch.Generator().manual_seed(0)
    drawn = [measure(*torch.randn(2, 2 * ROWS, 16, generator=generator)) for _ in range(20)]
    assert sum(float(d["top5"]) for d in drawn) / 20 == pytest.approx(matching_chance(2 * ROWS)["top5"], rel=0.15)


def test_half_precision_is_measured_like_any_other() -> None:
    first, second = torch.randn(2, 32, 8, generator=torch.Generator().manual_seed(0))
    exact, half = measure(first, second), measure(first.bfloat16(), second.bfloat16())
    assert half["effective_rank"] == pytest.approx(float(exact["effective_rank"]), rel=0.01)


def test_the_norm_of_many_tensors() -> None:
    assert total_norm([torch.tensor([3.0]), torch.tensor([[4.0, 12.0]])]).item() == pytest.approx(13)
    assert total_norm(list(nn.Identity().parameters())) == 0


def test_what_is_logged_of_a_step_again_joins_its_row(tmp_path: Path) -> None:
    history = HistoryLogger(tmp_path, steps_per_epoch=10, step=0)
    history.log_metrics({"loss": 2.0, "spread": 0.8}, step=0)
    for step in range(1, 4):
        history.log_metrics({"loss": 2.0 - step}, step=step)
        history.log_metrics({"spread": 0.1234567 * step, "loss": 2.0 - step}, step=step)
        history.log_metrics({"loss": 1.0}, step=step)
        rows = History.load(tmp_path).rows
        assert [row["step"] for row in rows] == list(range(step + 1))
        assert rows[-1] == {"step": step, "epoch": (step + 1) / 10, "loss": 1.0, "spread": 0.1234567 * step}
    history.log_metrics({"probe": 0.5}, step=3)  # a new column: the file is written anew
    history.log_metrics({"probe": 0.25}, step=3)
    assert History.load(tmp_path).rows[-1]["probe"] == 0.25
    assert not any(math.isnan(value) for row in History.load(tmp_path).rows for value in row.values())
    resumed = HistoryLogger(tmp_path, steps_per_epoch=10, step=4)
    resumed.log_metrics({"loss": 0.5}, step=4)
    assert [row["loss"] for row in History.load(tmp_path).rows] == [2.0, 1.0, 1.0, 1.0, 0.5]
