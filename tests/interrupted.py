"""Trainings of this process that are asked to stop at a chosen step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from likewise.methods.base import Method


@contextmanager
def interrupted_at(instant: int) -> Iterator[None]:
    """An interrupt comes in the step after which so many are done."""
    training_step = Method.training_step

    def interrupted_step(self: Method, *arguments: Any) -> Any:
        if self.global_step == instant - 1:
            signal.raise_signal(signal.SIGINT)
        return training_step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Method, "training_step", interrupted_step)
        yield
