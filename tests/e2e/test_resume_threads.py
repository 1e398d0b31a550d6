"""The number of threads decides float32 bits: a resumed training uses the number that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from likewise.errors import UserError
from likewise.methods.base import Method
from likewise.training import machine
from small_files import by_colour, captioned, table


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


def test_a_busy_machine_gets_fewer_threads_and_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "fastest_threads", lambda step: 1)
    how: dict[str, Any] = {"epochs": 1, "batch_size": 512, "precision": "32-true"}
    torch.set_num_threads(2)
    run = lw.pretrain("digits", out="run", **how)
    assert run.config["threads"] == 1
    assert "threads: 1, which is faster now than 2: other programs keep this machine busy" in capsys.readouterr().err
    assert run.config["command"].endswith(" --threads 1")
    assert torch.get_num_threads() == 2
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    again = lw.pretrain("digits", out="again", threads=1, progress=False, **how)
    assert (again.path / "encoder.safetensors").read_bytes() == (run.path / "encoder.safetensors").read_bytes()
    with pytest.raises(UserError, match="run was begun with threads 1, not 2: resume it as it was"):
        lw.pretrain("digits", out="run", threads=2, resume=True, progress=False, **how)


@pytest.mark.parametrize(
    ("threads", "told"),
    [
        ("many", "threads must be a whole number or auto, got 'many'"),
        (0, "threads must be from 1 to 1024, got 0"),
        (10**6, "threads must be from 1 to 1024, got 1000000"),
    ],
)
def test_threads_that_cannot_be(threads: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        lw.pretrain("digits", threads=threads)


def test_an_evaluation_measures_how_many_threads_are_fastest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By encoding some samples, of every modality."""
    monkeypatch.chdir(tmp_path)
    fewest: list[int] = []

    def fastest(step: Callable[[], object]) -> int:
        step()
        fewest.append(1)
        return 1

    monkeypatch.setattr(machine, "fastest_threads", fastest)
    torch.set_num_threads(2)
    how: dict[str, Any] = {"epochs": 1, "batch_size": 8, "precision": "32-true", "threads": 1, "progress": False}
    few: dict[str, Any] = {"labels_per_class": (2,), "seeds": 1, "protocols": ("frozen",), "progress": False}
    rows = [(f"{word} number {n}", word) for n in range(16) for word in ("apple", "boat")]
    texts = lw.pretrain(str(table(Path("t.csv"), ["text", "label"], rows)) + ":train", out="texts", **how)
    images = lw.pretrain(f"{by_colour(Path('squares'), 32, 0)}:train", size=16, out="images", **how)
    pairs = lw.pretrain(f"{captioned(Path('pairs'), 16)}:train", method="clip", size=16, out="pairs-run", **how)
    assert fewest == []
    assert lw.evaluate(texts, **few)["settings"]["threads"] == 1
    assert lw.evaluate(images, **few)["settings"]["threads"] == 1
    assert lw.evaluate(pairs, progress=False)["tables"]
    assert fewest == [1, 1, 1]
    assert torch.get_num_threads() == 2
