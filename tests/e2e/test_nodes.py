"""Two machines, each with one process, on the loopback address: one training, and one run that the first writes."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor

import likewise as lw
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Subset
from likewise.distributed import is_of_lost_process, join_nodes
from likewise.errors import UserError
from likewise.methods import method_class, method_options
from processes import check_near, counted_broadcasts, each_trained, in_processes, kept_weights

HOW: dict[str, Any] = {
    "encoder": "resnet8", "method": "simclr", "epochs": 2, "batch_size": 32, "precision": "32-true", "progress": False,
}  # fmt: skip
STEPS = 8
APART = 1e-2
"""Of the weights' norm: the rounding of float32, which eight steps multiply; 0.0035 was measured."""
OTHERS = ("moco-v2", "swav", "clip", "mae")
APART_IN_DOUBLE = 1e-6
"""Of the weights' norm: the rounding of float64, which training multiplies."""


class Dying(Subset):
    """Samples whose fifth batch ends the process that reads it, if it is the second one."""

    def __init__(self, source: Any, dies: bool) -> None:
        super().__init__(source, torch.arange(len(source)), name="samples")
        self.dies, self.whole = dies, 0

    def read(self, indices: Tensor) -> Any:
        self.whole += len(indices) == HOW["batch_size"] // 2
        if self.dies and self.whole == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(indices)

    def fitted(self, read_options: ReadOptions) -> Dying:
        return self


def samples(dies: bool = False) -> Dying:
    images = np.random.default_rng(0).integers(0, 256, (4 * 32, 8, 8), dtype=np.uint8)
    return Dying(open_source(images), dies)


def weights(run: Any) -> dict[str, Tensor]:
    return {key: value for key, value in run.encoder.state_dict().items() if value.is_floating_point()}


def node(number: int, port: int, folder: Path, out: str, dies: bool, resume: bool) -> None:
    """One machine: what it ends with is in a file of its own."""
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(number)}
    place = folder / str(number)
    place.mkdir(exist_ok=True)
    os.chdir(place)
    ended: dict[str, Any] = {"error": None}
    try:
        with counted_broadcasts() as calls:
            run = lw.pretrain(
                samples(dies and number == 1), out=out, devices=1, num_nodes=2, strategy="ddp", resume=resume,
                checkpoint_minutes=1e-9, **HOW,
            )  # fmt: skip
        ended = {"error": None, "weights": weights(run), "broadcasts": len(calls)}
    except UserError as error:
        ended = {"error": str(error)}
    except Exception:
        ended = {"error": traceback.format_exc()}
    torch.save(ended, folder / f"{number}.pt")


def on_two(folder: Path, out: str, *, dies: bool = False, resume: bool = False) -> list[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    nodes = [context.Process(target=node, args=(i, port, folder, out, dies, resume)) for i in range(2)]
    for each in nodes:
        each.start()
    for each in nodes:
        each.join(600)
        if each.is_alive():
            each.kill()
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("*.pt"))]


@pytest.mark.slow
def test_two_nodes_train_as_one_process_does(tmp_path: Path) -> None:
    first, second = on_two(tmp_path, "run")
    assert (first["error"], second["error"]) == (None, None)
    assert all(torch.equal(first["weights"][key], value) for key, value in second["weights"].items())
    assert first["broadcasts"] < STEPS  # at the beginning, not at every step
    assert (tmp_path / "0" / "run" / "encoder.safetensors").is_file()
    assert list((tmp_path / "1").iterdir()) == []  # the second node creates no run
    alone = lw.pretrain(samples(), out=tmp_path / "alone", threads=1, **HOW)
    check_near(weights(alone), first["weights"], APART)


def quickly(name: str) -> dict[str, Any]:
    """One epoch. Of a batch of 64, each of two processes has what one process normalizes as a shard of MoCo."""
    small = {"in_batch": False, "decoder_dim": 32, "decoder_depth": 1}
    options = {option: value for option, value in small.items() if option in method_options(name)}
    return {"epochs": 1, "batch_size": 64} | options | ({"encoder": "vit_micro"} if name == "mae" else {})


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    how = {name: quickly(name) | {"num_nodes": 2} for name in OTHERS}
    return in_processes(2, each_trained, tmp_path_factory.mktemp("others"), how, are_nodes=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_two_nodes_train_other_methods_as_one_process_does(
    name: str, others: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second = (ended[name] for ended in others)
    assert (first["error"], second["error"]) == (None, None)
    assert first["broadcasts"] < STEPS  # queues and banks are sent at the beginning, not at every step
    alone, one, two = kept_weights(name, tmp_path, **quickly(name)), first["weights"], second["weights"]
    if not method_class(name).sync_batch_norm:  # each process has the running statistics of its own samples
        alone, one, two = ({k: v for k, v in each.items() if "running_" not in k} for each in (alone, one, two))
    assert all(torch.equal(one[key], value) for key, value in two.items())
    check_near(alone, one, APART_IN_DOUBLE)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all_and_the_training_goes_on(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    (first,) = on_two(tmp_path, out, dies=True)
    assert first["error"].startswith(
        "another process of the training has ended, and so does this one: --resume goes on "
    )
    first, second = on_two(tmp_path, out, resume=True)
    assert (first["error"], second["error"]) == (None, None)
    assert lw.open_run(out).finished
    assert [row["step"] for row in lw.open_run(out).history.rows] == list(range(STEPS))
    alone = lw.pretrain(samples(), out=tmp_path / "alone", threads=1, **HOW)
    check_near(weights(alone), first["weights"], APART)


def test_several_nodes_need_to_know_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    join_nodes(1, 4)
    assert "WORLD_SIZE" not in os.environ
    with pytest.raises(UserError, match=r"^num_nodes must be 1, got 2, as nothing says which of them this is: start "):
        join_nodes(2, 4)
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WORLD_SIZE", "1")  # undone at the end
    join_nodes(2, 4)
    assert os.environ["WORLD_SIZE"] == "8"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[../third_party/gloo] Read error [127.0.0.1]:4: Connection reset by peer"), True),
        (RuntimeError("Connection closed by peer [127.0.0.1]:1234"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("x"), False),
    ],
)
def test_what_says_that_a_process_was_lost(error: Exception, lost: bool) -> None:
    assert is_of_lost_process(error) == lost
