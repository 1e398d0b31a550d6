"""Pairs as a graph of their different parts: what is searched, and which of it is correct for a query."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor


class DistinctPairs(NamedTuple):
    """The different parts on both sides of some pairs, and which of them stand in a pair with each other."""

    first: Int[Tensor, " a"]
    """A pair of each different first part, in the order in which they first occur."""
    second: Int[Tensor, " b"]
    """A pair of each different second part."""
    parts: Int[Tensor, "n 2"]
    """The parts of every pair, as positions in `first` and `second`."""
    links: Int[Tensor, "p 2"]
    """Which first and which second part, as positions in `first` and `second`, make a pair; each pair once, sorted."""

    @property
    def reversed(self) -> DistinctPairs:
        """The same pairs with the sides exchanged."""
        links = self.links.flip(1)
        return DistinctPairs(self.second, self.first, self.parts.flip(1), links[links[:, 0].argsort(stable=True)])

    @property
    def correct(self) -> Int[Tensor, " a"]:
        """For each first part, how many second parts it makes a pair with."""
        return self.links[:, 0].bincount(minlength=len(self.first))

    def are_pairs(self, start: int, stop: int) -> Bool[Tensor, "n b"]:
        """Which second parts make a pair with the first parts from `start` to before `stop`."""
        begin, end = torch.searchsorted(self.links[:, 0].contiguous(), torch.tensor([start, stop])).tolist()
        found = torch.zeros(stop - start, len(self.second), dtype=torch.bool)
        found[self.links[begin:end, 0] - start, self.links[begin:end, 1]] = True
        return found


def distinct_pairs(first: Sequence[Hashable], second: Sequence[Hashable]) -> DistinctPairs:
    """The different parts of pairs, which are compared as they are: give texts, and digests of what is no text."""
    (one, of_first), (other, of_second) = _distinct(first), _distinct(second)
    parts = np.stack([of_first, of_second], axis=1)
    links = np.unique(parts, axis=0)
    return DistinctPairs(*map(torch.from_numpy, (one, other, parts, links)))


def _distinct(part: Sequence[Hashable]) -> tuple[Int[np.ndarray, " distinct"], Int[np.ndarray, " n"]]:
    """Where each different entry first occurs, and which of these each entry is."""
    known: dict[Hashable, int] = {}
    numbers = np.array([known.setdefault(each, len(known)) for each in part], dtype=np.int64)
    return np.unique(numbers, return_index=True)[1].astype(np.int64), numbers
