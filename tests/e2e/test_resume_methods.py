"""For every method: a training that was interrupted and resumed ends with the bits of one that was not.

Of the encoder, and of all that a method keeps besides: heads, queues, banks, prototypes, centres, slow copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import likewise as lw
from interrupted import interrupted_at
from likewise.data.open import open_source
from likewise.errors import Interrupted
from likewise.methods import METHODS, method_class, method_options
from likewise.methods.base import Method
from likewise.training.callbacks.checkpoints import newest, step_of
from small_data import training_data

TRAINING: dict[str, Any] = {"epochs": 2, "batch_size": 64, "precision": "32-true", "devices": 1, "progress": False}
OPTIONS = {"queue": 128, "prototypes": 16, "hidden_dim": 32, "projection_dim": 16, "permutations": 10, "local_crops": 1}
WITHIN, BETWEEN = 0.5, 1.0  # epochs
FAST = [(name, WITHIN) for name in ("simclr", "simcse", "clip")]
REST = [(name, WITHIN) for name in METHODS if (name, WITHIN) not in FAST]
EPOCHWISE = [(name, BETWEEN) for name in METHODS if method_class(name).begin_epoch is not Method.begin_epoch]
INSTANTS = [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in (*REST, *EPOCHWISE))]


@pytest.fixture(autouse=True)
def one_thread(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LIKEWISE_CACHE", str(cache))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(name: str, out: Path, **more: Any) -> lw.Run:
    small = {key: value for key, value in OPTIONS.items() if key in method_options(name)}
    data, shape = training_data(name)
    return lw.pretrain(data, method=name, out=out, **TRAINING, **small, **shape, **more)


def steps_per_epoch(name: str) -> int:
    data, shape = training_data(name)
    how = {"sample_rate": shape["sample_rate"], "modality": "audio"} if "sample_rate" in shape else {}
    return len(open_source(data, **how)) // TRAINING["batch_size"]


def final(run: Path, steps: int) -> dict[str, Any]:
    """The newest checkpoint, which is of the last step."""
    path = newest(run / "checkpoints")
    assert path is not None
    assert step_of(path) == steps
    return torch.load(path, weights_only=True)


def history(run: Path, steps: int) -> list[list[str]]:
    """The rows of metrics.csv, less how fast it went."""
    header, *rows = (line.split(",") for line in (run / "metrics.csv").read_text().splitlines())
    assert len(rows) == steps
    return [[value for name, value in zip(header, row, strict=True) if name != "samples_per_second"] for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs by method, trained when they are first needed."""
    folder = tmp_path_factory.mktemp("whole")
    return {name: folder / name for name in METHODS}


@pytest.mark.parametrize(("name", "epochs"), INSTANTS)
def test_interrupted_and_resumed_is_the_same(
    name: str, epochs: float, uninterrupted: dict[str, Path], tmp_path: Path
) -> None:
    whole, parts = uninterrupted[name], tmp_path / "run"
    each = steps_per_epoch(name)
    instant, steps = int(epochs * each), TRAINING["epochs"] * each
    if not whole.exists():
        train(name, whole)

    with interrupted_at(instant), pytest.raises(Interrupted, match=f"stopped at step {instant} of"):
        train(name, parts)
    train(name, parts, resume=True)

    assert (parts / "encoder.safetensors").read_bytes() == (whole / "encoder.safetensors").read_bytes()
    got, exact = final(parts, steps)["state_dict"], final(whole, steps)["state_dict"]
    assert got.keys() == exact.keys()
    assert [key for key, value in exact.items() if not torch.equal(got[key], value)] == []
    assert history(parts, steps) == history(whole, steps)
    if name == "moco-v2":
        assert got["queue.keys"].shape == (OPTIONS["queue"], OPTIONS["projection_dim"])
        assert got["queue.pushed"] == steps * TRAINING["batch_size"]
