"""The loader: batches of a source, in an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Int
from torch import Tensor

from likewise.data.source import Source

AHEAD = 2  # batches read before they are asked for: one to hide the disk, one to hide its hiccups
BUCKET = 50  # batches whose samples are sorted by length together: long enough for little padding, short enough to mix


def order(samples: int, *, seed: int, epoch: int) -> Int[Tensor, " samples"]:
    """The order in which an epoch visits the samples: a permutation, the same for the same (seed, epoch)."""
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(samples))


def bucketed(lengths: Int[Tensor, " samples"], *, batch_size: int, seed: int, epoch: int) -> Int[Tensor, " samples"]:
    """An order like `order`, in which the samples of a batch are about equally long, so that little of it is padding.

    Of every `BUCKET` batches of a random order the samples are sorted by length, and cut into batches; then all batches
    are shuffled. What fills no batch comes last.
    """
    shuffled = order(len(lengths), seed=seed, epoch=epoch)
    whole = len(shuffled) // batch_size * batch_size
    parts = [part[lengths[part].argsort(stable=True)] for part in shuffled[:whole].split(BUCKET * batch_size)]
    batches = torch.cat(parts).reshape(-1, batch_size) if parts else shuffled[:0].reshape(0, batch_size)
    mixed = torch.from_numpy(np.random.default_rng((seed, epoch, 1)).permutation(len(batches)))
    return torch.cat([batches[mixed].flatten(), shuffled[whole:]])


class Batch(NamedTuple):
    """What a training step gets."""

    samples: Any
    """Raw samples, before any randomness."""
    indices: Int[Tensor, " n"]
    """Where they are in the source."""
    labels: Int[Tensor, " n"] | None = None
    """Their classes, for a method that asks for them."""


class Loader:
    """All batches of a training, one after the other, from any step on.

    The training is one stream of `len(loader) = epochs * steps_per_epoch` batches; incomplete last batches of an
    epoch are dropped. Batch `k` depends on (seed, k) alone, so a resumed training reads what it would have read.
    A thread reads ahead. With several processes (torch.distributed) each reads its part of every batch. Where the
    source has `lengths`, the samples of a batch are about equally long (see `bucketed`).

    Args:
        source: where the samples come from.
        batch: samples a step, over all processes.
        epochs: passes over the source.
        seed: of the order.
        labelled: whether batches bring their labels; raises `UserError` where the source has none.
    """

    def __init__(self, source: Source, *, batch_size: int, epochs: int, seed: int, labelled: bool = False) -> None:
        self.source, self.batch_size, self.epochs, self.seed = source, batch_size, epochs, seed
        self.labels = source.labels() if labelled else None
        self.lengths = source.lengths
        self.steps_per_epoch = len(source) // batch_size
        self.start = 0
        self.given = 0

    def __len__(self) -> int:
        return self.steps_per_epoch * self.epochs

    def order(self, epoch: int) -> Int[Tensor, " samples"]:
        """The order of an epoch."""
        if self.lengths is None:
            return order(len(self.source), seed=self.seed, epoch=epoch)
        return bucketed(self.lengths, batch_size=self.batch_size, seed=self.seed, epoch=epoch)

    def padding(self) -> float:
        """The share of the first epoch's batches that is padding."""
        if self.lengths is None:
            return 0.0
        lengths = self.lengths[self.order(0)[: self.steps_per_epoch * self.batch_size]].reshape(-1, self.batch_size)
        return 1 - int(lengths.sum()) / (int(lengths.amax(1).sum()) * self.batch_size)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["step"]

    def _indices(self) -> Iterator[Int[Tensor, " part"]]:
        parallel = dist.is_available() and dist.is_initialized()
        rank, world = (dist.get_rank(), dist.get_world_size()) if parallel else (0, 1)
        part = self.batch_size // world
        for step in range(self.start, len(self)):
            epoch, within = divmod(step, self.steps_per_epoch)
            if within == 0 or step == self.start:
                permutation = self.order(epoch)
            first = within * self.batch_size + rank * part
            yield permutation[first : first + part]

    def __iter__(self) -> Iterator[Batch]:
        self.given = self.start
        ready: queue.Queue[Any] = queue.Queue(maxsize=AHEAD)
        stop = threading.Event()

        def put(item: Any) -> bool:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    return True
                except queue.Full:
                    continue
            return False

        def read() -> None:
            try:
                for indices in self._indices():
                    labels = None if self.labels is None else self.labels[indices]
                    if not put(Batch(self.source.read(indices), indices, labels)):
                        return
                put(None)
            except BaseException as error:  # handed to the training, which raises it
                put(error)

        threading.Thread(target=read, daemon=True, name="likewise-loader").start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                self.given += 1
                yield item
        finally:
            stop.set()
