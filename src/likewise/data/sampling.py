"""Which samples each step of a training takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.data.source import Source

BUCKET = 50  # batches whose samples are sorted by length together: long enough for little padding, short enough to mix
MIXED = 16  # blocks of samples that are shuffled together: so many are in memory


@runtime_checkable
class Sampling(Protocol):
    """The indices of each step, as a pure function of the step.

    A sampling holds its seed and may keep caches, but no state: a training that is resumed at step k asks for step k
    and reads what it would have read. With several processes the indices of a step are cut into equal parts, in their
    order, one for each process.
    """

    batch_size: int
    """Indices a step, over all processes."""
    steps_per_epoch: int

    def indices(self, step: int) -> Int[Tensor, " batch"]:
        """Indices into the source for a step, counted from 0 over the whole training."""


class ShuffledSampling:
    """Every epoch visits the samples once, in an order of its own (see `order`); an incomplete last batch is dropped.

    Args:
        samples: length of the source.
        batch_size: samples a step, over all processes.
        seed: of the orders.
    """

    def __init__(self, samples: int, *, batch_size: int, seed: int) -> None:
        self.samples, self.batch_size, self.seed = samples, batch_size, seed
        self.steps_per_epoch = samples // batch_size
        self._epoch: tuple[int, Tensor] | None = None

    def indices(self, step: int) -> Int[Tensor, " batch"]:
        epoch, within = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self.order(epoch)
        return self._epoch[1][within * self.batch_size : (within + 1) * self.batch_size]

    def order(self, epoch: int) -> Int[Tensor, " samples"]:
        return order(self.samples, seed=self.seed, epoch=epoch)


class BucketedSampling(ShuffledSampling):
    """Shuffled sampling in which the samples of a batch are about equally long (see `bucketed`).

    Args:
        lengths: of the samples.
        batch_size: samples a step, over all processes.
        seed: of the orders.
    """

    def __init__(self, lengths: Int[Tensor, " samples"], *, batch_size: int, seed: int) -> None:
        super().__init__(len(lengths), batch_size=batch_size, seed=seed)
        self.lengths = lengths

    def order(self, epoch: int) -> Int[Tensor, " samples"]:
        return bucketed(self.lengths, batch_size=self.batch_size, seed=self.seed, epoch=epoch)


class BlockSampling(ShuffledSampling):
    """Shuffled sampling in which samples of a block come near each other (see `by_blocks`).

    Args:
        blocks: a number for each sample.
        batch_size: samples a step, over all processes.
        seed: of the orders.
    """

    def __init__(self, blocks: Int[Tensor, " samples"], *, batch_size: int, seed: int) -> None:
        super().__init__(len(blocks), batch_size=batch_size, seed=seed)
        self.blocks = blocks

    def order(self, epoch: int) -> Int[Tensor, " samples"]:
        return by_blocks(self.blocks, seed=self.seed, epoch=epoch)


class LaterSampling:
    """Pairs of samples, one after the other: a sample, and the one `delta` later.

    An epoch has as many steps as one that visits each sample once, so two epochs visit all pairs.

    Args:
        samples: length of the source.
        firsts: indices of the samples that have a later one; see `with_later`.
        delta: how many samples later the second one is.
        batch_size: samples a step, over all processes: twice the pairs.
        seed: of the orders.
    """

    def __init__(self, samples: int, firsts: Int[Tensor, " pairs"], *, delta: int, batch_size: int, seed: int) -> None:
        self.firsts, self.delta, self.pairs = firsts, delta, batch_size // 2
        self.shuffled = ShuffledSampling(len(firsts), batch_size=self.pairs, seed=seed)
        self.batch_size = 2 * self.pairs
        self.steps_per_epoch = samples // batch_size

    def indices(self, step: int) -> Int[Tensor, " batch"]:
        first = self.firsts[self.shuffled.indices(step)]
        return torch.stack([first, first + self.delta], dim=1).flatten()


def with_later(ids: Sequence[str], delta: int) -> Int[Tensor, " pairs"]:
    """Indices of the samples after which, `delta` later, comes another one whose id is a path in the same folder."""
    numbers: dict[str, int] = {}
    folders = torch.tensor([numbers.setdefault(id.rpartition("/")[0], len(numbers)) for id in ids])
    return (folders[:-delta] == folders[delta:]).nonzero()[:, 0]


def epoch_sampling(source: Source, *, batch_size: int, seed: int) -> ShuffledSampling:
    """The usual sampling of a source: shuffled epochs, bucketed by length where the source has `lengths`.

    Where it has `blocks`, samples of a block come near each other.
    """
    lengths: Tensor | None = source.lengths
    if lengths is None and source.blocks is not None:
        return BlockSampling(source.blocks, batch_size=batch_size, seed=seed)
    if lengths is None:
        return ShuffledSampling(len(source), batch_size=batch_size, seed=seed)
    return BucketedSampling(lengths, batch_size=batch_size, seed=seed)


def order(samples: int, *, seed: int, epoch: int) -> Int[Tensor, " samples"]:
    """The order in which an epoch visits the samples: a permutation, the same for the same (seed, epoch)."""
    return torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(samples))


def bucketed(lengths: Int[Tensor, " samples"], *, batch_size: int, seed: int, epoch: int) -> Int[Tensor, " samples"]:
    """An order like `order`, in which the samples of a batch are about equally long, so that little of it is padding.

    Of every `BUCKET` batches of a random order the samples are sorted by length and cut into batches; then all batches
    are shuffled. Samples that fill no batch come last.
    """
    shuffled = order(len(lengths), seed=seed, epoch=epoch)
    whole = len(shuffled) // batch_size * batch_size
    parts = [part[lengths[part].argsort(stable=True)] for part in shuffled[:whole].split(BUCKET * batch_size)]
    batches = torch.cat(parts).reshape(-1, batch_size) if parts else shuffled[:0].reshape(0, batch_size)
    mixed = torch.from_numpy(np.random.default_rng((seed, epoch, 1)).permutation(len(batches)))
    return torch.cat([batches[mixed].flatten(), shuffled[whole:]])


def by_blocks(blocks: Int[Tensor, " samples"], *, seed: int, epoch: int) -> Int[Tensor, " samples"]:
    """An order like `order`, in which each block is read in one go: `MIXED` shuffled blocks are shuffled together."""
    random = np.random.default_rng((seed, epoch))
    place = random.permutation(int(blocks.max()) + 1) // MIXED
    return torch.from_numpy(np.lexsort((random.permutation(len(blocks)), place[blocks.numpy()])))
