"""Processes that read samples ahead of a training, for sources that decode each sample every time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from likewise.data.source import Source
from likewise.distributed import processes_here
from likewise.errors import UserError

MOST, AHEAD = 8, 2  # processes, and batches that each of them reads ahead: so much memory, and no more
ENDED = (
    "a process that reads samples was ended from outside, most often because memory is full: take a smaller "
    "--batch-size or --size"
)


def reader_count() -> int:
    """How many processes read for this one: half of the cores that it has, which leaves the others to training."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST, cores // processes_here() // 2))


def read_ahead(source: Source, indices: Iterable[Int[Tensor, " n"]]) -> Iterator[Any]:
    """The batches of a source, in their order, read by processes of their own, which begin now.

    They end when the iterator is closed or done. What they read does not depend on how many they are.
    """
    loader = DataLoader(
        _Batches(source),
        sampler=indices,
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=reader_count(),
        prefetch_factor=AHEAD,
        worker_init_fn=_ignore_signals,
        generator=torch.Generator(),  # the training's own draws nothing for it
    )
    return _raised([iter(loader)])


def _raised(only: list[Iterator[Any]]) -> Iterator[Any]:
    """The batches of the only iterator of a list, which holds it no longer when they end or one raises an error.

    With the iterator its processes end. The traceback of an error would keep it: they ignore the signal that this
    process sends them when it ends, which would then wait for them for ever.
    """
    try:
        for batch in only[0]:
            if isinstance(batch, UserError):
                raise batch
            yield batch
    except RuntimeError as error:
        raise (UserError(ENDED) if is_of_readers(error) else error) from error
    finally:
        only.clear()


def is_of_readers(error: RuntimeError) -> bool:
    """Whether torch says that a process of a DataLoader has ended."""
    return "DataLoader worker" in str(error)


class _Batches(Dataset[Any]):
    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, indices: Int[Tensor, " n"]) -> Any:
        try:
            return self.source.read(indices)
        except UserError as error:  # raised, it would become a page of text
            return error


def _unchanged(batch: Any) -> Any:
    return batch


def _ignore_signals(_: int) -> None:
    """A signal to end is for the training, which writes a checkpoint first and then ends its readers."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
