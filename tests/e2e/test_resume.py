"""A training that is killed and resumed ends with the same bits as one that never was."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likewise.training.callbacks.checkpoints import all_checkpoints

TRAINING = [
    *"pretrain digits --epochs 6 --batch-size 64 --precision bf16-mixed".split(),
    *"--checkpoint-minutes 0.005 --no-progress --out".split(),
]
STEPS = 6 * (1297 // 64)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import likewise as lw

    folder = tmp_path_factory.mktemp("whole") / "run"
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    lw.pretrain(
        "digits", epochs=6, batch_size=64, precision="bf16-mixed", checkpoint_minutes=0.005, progress=False, out=folder
    )
    torch.set_num_threads(threads)
    return folder


def rows(run: Path) -> int:
    metrics = run / "metrics.csv"
    return len(metrics.read_text().splitlines()) - 1 if metrics.exists() else 0


def end(process: subprocess.Popen[str], run: Path, number: int, *, after: int) -> str:
    """Send a signal once `after` steps are logged and one checkpoint is there; returns stderr."""
    while process.poll() is None and (rows(run) < after or not all_checkpoints(run / "checkpoints")):
        time.sleep(0.005)
    process.send_signal(number)
    return process.communicate(timeout=500)[1]


@pytest.mark.parametrize(
    "instant", [30, *(pytest.param(random.Random(i).randrange(3, STEPS - 3), marks=pytest.mark.slow) for i in range(5))]
)
def test_sigkill_and_resume_give_the_same_bits(
    instant: int, start: Callable[..., subprocess.Popen[str]], likewise, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(*TRAINING, run)
    end(process, run, signal.SIGKILL, after=instant)
    assert process.returncode == -signal.SIGKILL
    assert not (run / "encoder.safetensors").exists()

    resumed = likewise(*TRAINING, run, "--resume")

    assert resumed.returncode == 0, resumed.stderr
    assert (run / "encoder.safetensors").read_bytes() == (uninterrupted / "encoder.safetensors").read_bytes()
    losses = [
        [line.split(",")[2] for line in (r / "metrics.csv").read_text().splitlines()] for r in (run, uninterrupted)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == STEPS + 1


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(start, likewise, uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*TRAINING, run)
    message = end(process, run, signal.SIGINT, after=10)
    assert process.returncode == 130
    assert f"--out {run} --resume" in message
    assert "Traceback" not in message
    command = message.partition("to go on: likewise ")[2].split()

    assert likewise(*command).returncode == 0
    assert (run / "encoder.safetensors").read_bytes() == (uninterrupted / "encoder.safetensors").read_bytes()


@pytest.mark.slow
def test_a_corrupt_checkpoint_is_passed_over_for_the_one_before(
    start, likewise, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(*TRAINING, run)
    end(process, run, signal.SIGINT, after=40)
    newest, previous = all_checkpoints(run / "checkpoints")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)

    resumed = likewise(*TRAINING, run, "--resume")

    assert resumed.returncode == 0, resumed.stderr
    assert f"{newest.name} is corrupt: going on from {previous.name}" in resumed.stderr
    assert (run / "encoder.safetensors").read_bytes() == (uninterrupted / "encoder.safetensors").read_bytes()


@pytest.mark.parametrize(
    "signals",
    [
        ("SIGTERM",),
        *(pytest.param(names, marks=pytest.mark.slow) for names in (("SIGHUP",), ("SIGUSR1",), ("SIGINT", "SIGINT"))),
    ],
    ids=lambda names: "+".join(names),
)
def test_every_signal_that_asks_to_stop_leaves_a_checkpoint(
    signals: tuple[str, ...],
    start: Callable[..., subprocess.Popen[str]],
    likewise: Any,
    uninterrupted: Path,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    process = start(*(word if word != "0.005" else "60" for word in TRAINING), run)
    while process.poll() is None and rows(run) < 30:
        time.sleep(0.005)
    for name in signals:
        process.send_signal(getattr(signal, name))
    said = process.communicate(timeout=500)[1]
    assert process.returncode == 130, said
    assert "--resume" in said
    assert all_checkpoints(run / "checkpoints")
    assert likewise(*TRAINING, run, "--resume").returncode == 0
    weights = [(folder / "encoder.safetensors").read_bytes() for folder in (run, uninterrupted)]
    assert weights[0] == weights[1]


def test_a_reader_of_the_log_who_leaves_does_not_end_the_training(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(*"pretrain digits --epochs 2 --batch-size 64 --precision 32-true --out".split(), run)
    assert process.stderr is not None
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(timeout=500) == 0
    assert (run / "encoder.safetensors").exists()
