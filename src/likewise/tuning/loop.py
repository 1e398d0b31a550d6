"""Trials one after the other, in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from likewise.tuning.search import Search
from likewise.tuning.trials import Asked, Ended, Train

Told = Callable[[Asked, Ended], None]
"""Is called with each trial that has ended."""


class Limits(NamedTuple):
    """When no further trial begins."""

    trials: int
    """As many, with those before."""
    until: float | None = None
    """On the clock of `time.monotonic`: no trial begins that would probably end after it."""

    def over(self, search: Search) -> bool:
        if len(search) >= self.trials:
            return True
        return self.until is not None and time.monotonic() + search.seconds > self.until


class TrialQueue:
    """What is to be trained: first what was interrupted, then what the search proposes."""

    def __init__(self, search: Search, begun: list[Asked], limits: Limits) -> None:
        self.search, self.limits = search, limits
        self._begun = deque(begun)

    def next(self) -> Asked | None:
        """The next trial; None where there are enough."""
        if self._begun:
            return self._begun.popleft()
        return None if self.limits.over(self.search) else self.search.ask()


def train_one(search: Search, asked: Asked, train: Train) -> Ended:
    """Train a trial and keep how it ended.

    Raises:
        KeyboardInterrupt: it was asked to stop; the search keeps that it can be gone on with.
    """
    try:
        ended = train(asked, partial(search.report, asked.number))
    except KeyboardInterrupt:
        search.interrupt(asked.number)
        raise
    search.end(asked.number, ended)
    return ended


def train_here(search: Search, queue: TrialQueue, train: Train, told: Told) -> None:
    """Train what is in the queue.

    Raises:
        KeyboardInterrupt: a trial was asked to stop.
    """
    while (asked := queue.next()) is not None:
        told(asked, train_one(search, asked, train))
