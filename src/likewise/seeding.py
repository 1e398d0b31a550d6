"""Randomness as a function: generators from keys, and draws for the rows of a batch that several processes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

G = TypeVar("G", bound=torch.Generator)


def generator_for(*key: int) -> torch.Generator:
    """A generator that is a pure function of `key`, such as (seed, step)."""
    return _seeded(torch.Generator(), *key)


class PartGenerator(torch.Generator):
    """The generator of a process that has one of several equal parts of a batch.

    `draw_rows` draws with it for the whole batch. What draws from it directly gets other numbers than other processes.

    Attributes:
        whole: the generator of the whole batch, in the same state in every process.
        part: which one this process has, from 0.
        parts: how many there are.
    """

    whole: torch.Generator
    part: int
    parts: int

    def own(self, drawn: Any) -> Any:
        """The part's rows of a tensor, or of each tensor of a named tuple; scalars are common to all."""
        if isinstance(drawn, Tensor):
            return drawn.chunk(self.parts)[self.part] if drawn.dim() else drawn
        return type(drawn)(*map(self.own, drawn))


def generator_for_part(*key: int, part: int, parts: int) -> torch.Generator:
    """The generator of a part of the batch that `key` stands for; with one part that of the whole batch."""
    whole = generator_for(*key, 0)
    if parts == 1:
        return whole
    generator = _seeded(PartGenerator(), *key, 1 + part)
    generator.whole, generator.part, generator.parts = whole, part, parts
    return generator


def draw_rows(draw: Callable[[int, torch.Generator], Any], n: int, generator: torch.Generator) -> Any:
    """`draw(n, generator)`: a tensor of n rows, or a named tuple of such tensors and of scalars.

    Where the n rows are a part of a batch that several processes share, `draw` is called for all rows of the batch, and
    the part's are kept: what is drawn for a row does not depend on the number of processes.

    Args:
        draw: of a number of rows and a generator.
        n: rows that this process has.
        generator: see `generator_for_part`; others draw for n rows.
    """
    if not isinstance(generator, PartGenerator):
        return draw(n, generator)
    return generator.own(draw(n * generator.parts, generator.whole))


def _seeded(generator: G, *key: int) -> G:
    state = np.random.SeedSequence(key).generate_state(2)
    generator.manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)
    return generator
