"""The loader: batches of a source, read ahead, in the order of a sampling."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from likewise.data.readers import read_ahead
from likewise.data.sampling import Sampling, epoch_sampling
from likewise.data.source import Source
from likewise.distributed import local_rows

AHEAD = 2  # batches read before they are asked for: one to hide the disk, one to hide its hiccups


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

    The training is one stream of `len(loader) = epochs * steps_per_epoch` batches. Batch `k` holds the samples that the
    sampling gives for step `k`, so a resumed training reads what it would have read. A thread reads ahead, or, where
    a source decodes each time, processes do. With several processes of a training each reads its part of every batch.

    Args:
        source: where the samples come from.
        batch_size: samples a step, over all processes.
        epochs: passes over the source.
        seed: of the order.
        labelled: whether batches bring their labels, where a sample without one is a class of its own; raises
            `UserError` where the source has none.
        sampling: which samples each step takes; None is `epoch_sampling` with this batch size and seed.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        epochs: int,
        seed: int,
        labelled: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        self.source, self.epochs = source, epochs
        self.sampling = sampling or epoch_sampling(source, batch_size=batch_size, seed=seed)
        self.labels = _own_classes(source.labels()) if labelled else None
        self.lengths = source.lengths
        self.start = 0
        self.given = 0
        self._readers: list[tuple[threading.Thread, threading.Event]] = []

    def __len__(self) -> int:
        return self.sampling.steps_per_epoch * self.epochs

    def padding(self) -> float:
        """The share of the first epoch's batches that is padding."""
        if self.lengths is None:
            return 0.0
        lengths = [self.lengths[self.sampling.indices(step)] for step in range(self.sampling.steps_per_epoch)]
        return 1 - sum(int(each.sum()) for each in lengths) / sum(len(each) * int(each.max()) for each in lengths)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["step"]

    def _indices(self) -> Iterator[Int[Tensor, " part"]]:
        for step in range(self.start, len(self)):
            yield local_rows(self.sampling.indices(step))

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

        asked, given = itertools.tee(self._indices())
        # Processes begin here, in the main thread.
        batches = read_ahead(self.source, asked) if self.source.reads_slowly else map(self.source.read, asked)

        def read() -> None:
            try:
                for samples, indices in zip(batches, given, strict=True):
                    labels = None if self.labels is None else self.labels[indices]
                    if not put(Batch(samples, indices, labels)):
                        return
                put(None)
            except BaseException as error:  # handed to the training, which raises it
                put(error)

        reader = threading.Thread(target=read, daemon=True, name="likewise-loader")
        self._readers.append((reader, stop))
        reader.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                self.given += 1
                yield item
        finally:
            stop.set()

    def close(self) -> None:
        """End what still reads ahead. A thread inside a library when the process ends would abort it."""
        for _, stop in self._readers:
            stop.set()
        for reader, _ in self._readers:
            reader.join()
        self._readers.clear()


def _own_classes(labels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Labels in which every sample without one (-1) has a number that no other has."""
    return torch.where(labels < 0, labels.max() + 1 + torch.arange(len(labels)), labels)
