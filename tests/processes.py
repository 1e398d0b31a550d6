"""Trainings by one process and by several on a CPU, and the views that each of them makes."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from forked import START, take_over
from likewise.data.batches import Parts
from likewise.data.open import open_source
from likewise.distributed import join_nodes
from likewise.methods import method_options
from likewise.methods.base import Method
from likewise.modalities.build import Training, build_training
from likewise.modules.batch_norm import WholeBatchNorm
from likewise.training.fit import fit
from likewise.training.recipe import load_recipe
from small_data import training_data

SMALL = {"queue": 128, "prototypes": 16, "permutations": 10, "local_crops": 1, "hidden_dim": 128, "negatives": 64}
READ = ("sample_rate",)


def small_training(name: str, **changes: Any) -> Training:
    """A method on the small data of its modality, by its own recipe."""
    data, shape = training_data(name)
    how = {"sample_rate": shape["sample_rate"], "modality": "audio"} if "sample_rate" in shape else {}
    small = {key: value for key, value in SMALL.items() if key in method_options(name)}
    recipe = load_recipe(name).with_(**{"batch_size": 64, "epochs": 2} | small | shape | changes)
    torch.manual_seed(0)
    return build_training(open_source(data, progress=False, **how), recipe, kept=None)


class InDouble:
    """Views in float64: what differs by more than its rounding is not the same."""

    def __init__(self, views: Any) -> None:
        self.views = views

    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        return doubled(self.views(batch, generator))

    def second(self, batch: Any, generator: torch.Generator) -> Any:
        return doubled(self.views.second(batch, generator))

    def located_pair(self, batch: Any, generator: torch.Generator) -> Any:
        return tuple(map(doubled, self.views.located_pair(batch, generator)))

    def captioned(self, batch: Any, generator: torch.Generator) -> Any:
        return doubled(self.views.captioned(batch, generator))

    def weak(self, batch: Any, generator: torch.Generator) -> Any:
        return doubled(self.views.weak(batch, generator))

    def local(self, batch: Any, generator: torch.Generator) -> Any:
        return doubled(self.views.local(batch, generator))

    def clean(self, batch: Any) -> Any:
        return doubled(self.views.clean(batch))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.views, name)


def doubled(view: Any) -> Any:
    if isinstance(view, Parts):
        return Parts(tuple(map(doubled, view.parts)))
    return view.double() if view.is_floating_point() else view


class InterruptAt(L.Callback):
    """An interrupt, as by a person, after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            signal.raise_signal(signal.SIGINT)


def trained(
    name: str,
    folder: Path,
    *,
    devices: int = 1,
    num_nodes: int = 1,
    double: bool = True,
    stop_at: int | None = None,
    resume: bool = False,
    **changes: Any,
) -> Method:
    """A method after a training in float64 without dropout, or in float32; or after an interrupt at step `stop_at`."""
    recipe, source, method, _ = small_training(name, **changes)
    if double:
        method.double().views = InDouble(method.views)
        prepare = method.prepare

        def prepared(*context: Any) -> None:
            prepare(*context)
            method.double()  # queues and banks, too

        method.prepare = prepared  # type: ignore[method-assign]
        for layer in method.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0  # each process draws its own
    how: dict[str, Any] = {"devices": str(devices), "num_nodes": num_nodes}
    how |= {"strategy": "ddp"} if devices * num_nodes > 1 else {}
    callbacks = [] if stop_at is None else [InterruptAt(stop_at)]
    folder.mkdir(parents=True, exist_ok=True)
    fitted = fit(
        method, source, recipe, folder, precision="32-true", progress=False, resume=resume, callbacks=callbacks, **how
    )
    assert fitted.interrupted == (stop_at is not None)
    assert (fitted.step < fitted.steps) == fitted.interrupted
    return method


def kept_weights(name: str, folder: Path, **how: Any) -> dict[str, Tensor]:
    """The kept encoder after a training; its layers are its own again."""
    method = trained(name, folder / name, **how)
    assert not any(isinstance(layer, WholeBatchNorm) for layer in method.modules())
    return {key: value for key, value in method.deployed_encoder.state_dict().items() if value.is_floating_point()}


def each_trained(folder: Path, how: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each method its weights after a training, and how often buffers were sent to all processes; or the error."""
    ended: dict[str, dict[str, Any]] = {}
    for name in how:
        with counted_broadcasts() as calls:
            try:
                weights = kept_weights(name, folder, **how[name])
                ended[name] = {"error": None, "weights": weights, "broadcasts": len(calls)}
            except Exception:
                ended[name] = {"error": traceback.format_exc()}
    return ended


@contextmanager
def counted_broadcasts() -> Iterator[list[int]]:
    """What grows by one each time that parameters or buffers are sent to all processes."""
    broadcast, calls = dist._broadcast_coalesced, list[int]()

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return broadcast(*arguments)

    dist._broadcast_coalesced = counted
    try:
        yield calls
    finally:
        dist._broadcast_coalesced = broadcast


def check_near(one: dict[str, Tensor], two: dict[str, Tensor], most: float) -> None:
    """Weights differ by less than `most` of their norm."""
    assert one.keys() == two.keys()
    assert _norm([two[name] - value for name, value in one.items()]) < most * _norm(list(one.values()))


def _norm(values: list[Tensor]) -> float:
    return float(torch.stack([value.double().square().sum() for value in values]).sum().sqrt())


def tensors(views: Any) -> list[Tensor]:
    """The tensors of what a method's objective gets."""
    if isinstance(views, Tensor):
        return [views]
    parts = views.parts if isinstance(views, Parts) else views
    return [tensor for part in parts for tensor in tensors(part)]


def in_processes(
    count: int, work: Callable[..., Any], folder: Path, *arguments: Any, are_nodes: bool = False
) -> list[Any]:
    """What `work(folder, *arguments)` returns in each of so many processes of a gloo group.

    `are_nodes`: each is a machine of its own, on which Lightning begins the group.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = _one_node if are_nodes else _one_process
    mp.start_processes(begin, (dict(os.environ), count, port, work, folder, arguments), count, start_method=START)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


def _one_process(
    rank: int,
    environment: dict[str, str],
    count: int,
    port: int,
    work: Callable[..., Any],
    folder: Path,
    arguments: tuple[Any, ...],
) -> None:
    take_over(environment)
    torch.set_num_threads(1)
    # As a launcher tells Lightning.
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    os.environ |= {"WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    dist.init_process_group("gloo", rank=rank, world_size=count)
    torch.save(work(folder, *arguments), folder / f"{rank}.pt")
    dist.destroy_process_group()


def _one_node(
    number: int,
    environment: dict[str, str],
    count: int,
    port: int,
    work: Callable[..., Any],
    folder: Path,
    arguments: tuple[Any, ...],
) -> None:
    take_over(environment)
    torch.set_num_threads(1)
    # As people set it who start a command on each machine by hand.
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(number)}
    join_nodes(count, 1)
    torch.save(work(folder, *arguments), folder / f"{number}.pt")
