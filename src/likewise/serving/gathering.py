"""Requests of several clients, computed together: one thread owns the encoder, and takes what has come meanwhile."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

Compute = Callable[[str, Sequence[Any]], Float[np.ndarray, "n dim"]]
"""(modality, samples) -> one row for each."""


@dataclass
class _Asked:
    """Samples that wait for their rows."""

    modality: str
    rows: Sequence[Any]
    answer: Future[np.ndarray] = field(default_factory=Future)


class Gatherer:
    """Computes for many callers at once, in a thread of its own.

    What comes within `wait` seconds of the first samples is computed with them, up to `most` samples. While one batch
    is computed, the next one gathers. Where a batch fails, each caller's samples are tried by themselves, so that
    nobody's samples fail with those of another.

    Args:
        compute: called in that one thread only.
        most: samples at which no more are waited for.
        wait: in seconds.
    """

    def __init__(self, compute: Compute, *, most: int, wait: float) -> None:
        self.compute = compute
        self.most = most
        self.wait = wait
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="likewise-encoder", daemon=True)
        self._thread.start()

    def submit(self, modality: str, rows: Sequence[Any]) -> Future[np.ndarray]:
        """The rows of some samples, as soon as they are there; a cancelled one is not computed."""
        asked = _Asked(modality, rows)
        self._asked.put(asked)
        return asked.answer

    def close(self) -> None:
        """Compute what was submitted, and end."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._asked.get()) is not None:
            gathered, is_last = self._gather(first)
            waiting = [asked for asked in gathered if asked.answer.set_running_or_notify_cancel()]
            for modality in dict.fromkeys(asked.modality for asked in waiting):
                self._answer(modality, [asked for asked in waiting if asked.modality == modality])
            if is_last:
                return

    def _gather(self, first: _Asked) -> tuple[list[_Asked], bool]:
        """What is computed next, and whether there is no more after it."""
        gathered, samples = [first], len(first.rows)
        until = time.monotonic() + self.wait
        while samples < self.most:
            try:
                asked = self._asked.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if asked is None:
                return gathered, True
            gathered.append(asked)
            samples += len(asked.rows)
        return gathered, False

    def _answer(self, modality: str, together: list[_Asked]) -> None:
        try:
            computed = self.compute(modality, [row for asked in together for row in asked.rows])
        except Exception as error:
            if len(together) == 1:
                together[0].answer.set_exception(error)
                return
            for asked in together:
                self._answer(modality, [asked])
            return
        ends = np.cumsum([len(asked.rows) for asked in together])
        for asked, rows in zip(together, np.split(computed, ends[:-1]), strict=True):
            asked.answer.set_result(rows)
