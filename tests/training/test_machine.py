"""The precision is chosen by measuring, and a machine that turns busy does not change the choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch

from likewise.data.open import open_source
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.simclr import SimCLR
from likewise.modalities.build import build_training
from likewise.training import machine
from likewise.training.fit import training_context_of
from likewise.training.recipe import Recipe
from typed_commands import refused


class Clock:
    """Time goes by in steps: four units with 32 bits, two with bfloat16, and more the busier the machine is."""

    def __init__(self, busy: list[float]) -> None:
        self.now, self.busy, self.steps = 0.0, busy, 0

    def perf_counter(self) -> float:
        return self.now

    def objective(self, *views: torch.Tensor) -> torch.Tensor:
        self.now += (0.02 if torch.is_autocast_enabled("cpu") else 0.04) * self.busy[self.steps // 2]
        self.steps += 1
        return torch.zeros((), requires_grad=True)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SimCLR, TrainingContext]:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8), dtype=np.uint8)
    recipe, source, method, _ = build_training(open_source(images), Recipe(encoder="resnet8", batch_size=16), kept=None)
    context = training_context_of(method, source, recipe, seed=0)
    method.prepare(context)
    return method, context


# The first round warms up. Then the machine is idle, or busy from some round on.
@pytest.mark.parametrize("busy", [[1.0] * 6, [1, 1, 1, 9, 9, 9], [9, 9, 1, 1, 1, 1], [1, 1, 7, 1, 7, 1]], ids=str)
def test_a_machine_that_turns_busy_does_not_change_the_choice(
    busy: list[float], trained: tuple[SimCLR, TrainingContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(busy)
    monkeypatch.setattr(machine.time, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(SimCLR, "objective", lambda _, *views: clock.objective(*views))
    assert machine.fastest_plan(*trained, threads=1).precision == "bf16-mixed"
    assert clock.steps == 2 * (1 + machine.ROUNDS)
    assert machine.fastest_plan(*trained, threads=1).precision == "bf16-mixed"
    assert clock.steps == 2 * (1 + machine.ROUNDS)  # remembered


def test_equal_precisions_stay_at_32_bits(
    trained: tuple[SimCLR, TrainingContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock([1.0] * 6)
    monkeypatch.setattr(machine.time, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    monkeypatch.setattr(SimCLR, "objective", lambda _, *views: clock.objective(*views))
    assert machine.fastest_plan(*trained, threads=1).precision == "32-true"


class Processors:
    """Time goes by in steps: each thread does its share, and waits for the processors that others keep busy."""

    def __init__(self, wait: float) -> None:
        self.now, self.wait = 0.0, wait

    def perf_counter(self) -> float:
        return self.now

    def step(self) -> None:
        number = torch.get_num_threads()
        self.now += 0.04 / number + self.wait * (number > 1)


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with machine.threads_of(4):
        yield


@pytest.mark.parametrize(("wait", "fastest"), [(0.0, 4), (0.005, 4), (0.5, 1)])
def test_fewer_threads_where_they_wait_for_each_other(
    wait: float, fastest: int, four_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    processors = Processors(wait)
    monkeypatch.setattr(machine.time, "perf_counter", processors.perf_counter)
    assert machine.fastest_threads(processors.step) == fastest
    assert torch.get_num_threads() == 4


def test_a_busy_machine_is_measured_for_seconds_only(four_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    processors = Processors(wait=20.0)
    monkeypatch.setattr(machine.time, "perf_counter", processors.perf_counter)
    assert machine.fastest_threads(processors.step) == 1
    assert processors.now < 2 * 20 * (1 + machine.FEWEST_ROUNDS) + 1


def test_the_environment_decides_the_threads(four_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(machine, "speed_ratios", lambda ways: pytest.fail("nothing is to be measured"))
    assert machine.fastest_threads(lambda: None) == 4


def test_a_training_has_the_threads_that_are_fastest(
    trained: tuple[SimCLR, TrainingContext], four_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    processors = Processors(wait=0.5)

    def objective(_: SimCLR, *views: torch.Tensor) -> torch.Tensor:
        processors.step()
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(machine.time, "perf_counter", processors.perf_counter)
    monkeypatch.setattr(SimCLR, "objective", objective)
    assert machine.fastest_plan(*trained) == machine.Plan("32-true", 1)
    assert machine.fastest_plan(*trained, threads=3) == machine.Plan("32-true", 3)


def test_a_cpu_gets_no_more_processes_than_it_has_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "device_name", lambda: "cpu")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    for devices in ("auto", "1", "4"):
        machine.check_devices(devices)
    told = (
        "devices must be at most 4, the cores of the CPU, got 5000: this machine has no GPU, and a CPU needs one "
        "process only: leave it out, or --devices 4"
    )
    words = ("pretrain", "digits", "--devices", "5000", "--out", tmp_path / "run")
    assert refused(capsys, *words) == told
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(machine, "device_name", lambda: "cuda")
    machine.check_devices("5000")


def test_strategies_that_share_weights_out_are_refused() -> None:
    """Lightning has them on GPUs only, so that none was tried; a run would keep a part of the weights."""
    for strategy in ("auto", "ddp", "ddp_spawn", "deepspeed_stage_2"):
        machine.check_strategy(strategy)
    for strategy in ("fsdp", "fsdp_cpu_offload", "deepspeed_stage_3_offload"):
        with pytest.raises(UserError, match=rf"^strategy must be one that keeps whole weights .* got '{strategy}': "):
            machine.check_strategy(strategy)
    with pytest.raises(ValueError, match=r"strategy `fsdp` requires a GPU accelerator"):
        L.Trainer(strategy="fsdp", accelerator="cpu", devices=2, logger=False)
