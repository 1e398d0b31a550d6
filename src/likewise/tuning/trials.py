"""What a trial is: what is asked for, what it reports, how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

FINISHED: Final = "finished"
PRUNED: Final = "pruned"
FAILED: Final = "failed"


class Asked(NamedTuple):
    """A trial to train."""

    number: int
    values: dict[str, Any]
    """What it tries, by name; empty for the default recipe, which is trial 0."""
    again: bool = False
    """Whether it was begun before, and goes on."""


class Ended(NamedTuple):
    """How a trial ended."""

    state: Literal["finished", "pruned", "failed"]
    value: float | None = None
    """The objective, of a finished one."""
    reason: str = ""
    """Why it failed."""
    epochs: int = 0
    """That were trained."""
    seconds: float = 0.0


Report = Callable[[int, float], bool]
"""Takes the objective after so many epochs; says whether the trial is not worth its rest."""
Train = Callable[[Asked, Report], Ended]
"""Trains a trial. An interrupt (`KeyboardInterrupt`) leaves it to be gone on with."""
