"""Batches that are no single tensor: samples of different lengths, and samples of several parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """Samples of different lengths, filled up with zeros."""

    values: Shaped[Tensor, "n longest"]
    lengths: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: Any) -> Ragged:
        lengths = self.lengths[rows]
        longest = int(lengths.max()) if len(lengths) else 0
        return Ragged(self.values[rows, :longest], lengths)

    def to(self, device: Any, **how: Any) -> Ragged:
        return Ragged(self.values.to(device, **how), self.lengths.to(device, **how))

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    @classmethod
    def of(cls, samples: Iterable[Shaped[Tensor, " _"]]) -> Ragged:
        """One row each."""
        rows = list(samples)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        return cls(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths)


@dataclass(frozen=True)
class Parts:
    """The parts of each sample: of image and caption, say, a batch of images and a batch of captions."""

    parts: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, rows: Any) -> Parts:
        return Parts(tuple(part[rows] for part in self.parts))

    def to(self, device: Any, **how: Any) -> Parts:
        return Parts(tuple(part.to(device, **how) for part in self.parts))

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)
