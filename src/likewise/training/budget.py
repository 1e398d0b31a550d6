"""A budget of time becomes a number of epochs, by measuring some whole steps of the training."""

from __future__ import annotations

import copy
import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import lightning as L
import torch

from likewise.data.source import Source
from likewise.errors import UserError
from likewise.methods.base import Method, ViewSizes
from likewise.training.fit import fit, training_context_of
from likewise.training.machine import forget_peak_memory, peak_memory
from likewise.training.recipe import Recipe

KEPT_FREE = 0.05
"""The share of the time that is left free: for the end of a training, and for steps slower than those measured."""
MEASURED_SECONDS = 6.0
"""How long steps are measured, and at most a fiftieth of the budget."""
WARM_UP_STEPS, MEASURED_STEPS = 2, 3
"""At least so many steps are left out, because they prepare others, and measured."""
WARM_UP_SHARE = 0.1
"""Of the epochs, at most: a short training cannot afford the warm-up of a long one."""
FEW_EPOCHS = 3
"""Below so many, a smaller encoder is worth more than the usual one."""


class Cost(NamedTuple):
    """What a training costs on this machine."""

    step: float
    """Seconds of a whole step: reading, views, objective, gradients, optimizer. A median; where views grow, a mean."""
    epoch: float
    """Seconds of each epoch beside its steps: what the method does at its beginning, and the probe."""
    steps_per_epoch: int
    memory: int | None = None
    """Bytes that a device needed at most: see `machine.peak_memory`."""

    @property
    def seconds_per_epoch(self) -> float:
        return self.steps_per_epoch * self.step + self.epoch


class Budget(NamedTuple):
    """Time for a training."""

    minutes: float
    """As asked for."""
    spent: float
    """Seconds of them before the training: reading and measuring."""

    def epochs(self, cost: Cost) -> int:
        """How many fit into what is left; 0 where not one does."""
        return max(0, math.floor((1 - KEPT_FREE) * (60 * self.minutes - self.spent) / cost.seconds_per_epoch))

    def too_small(self, cost: Cost, *, samples: int) -> UserError:
        """What to say where not one epoch of so many samples fits."""
        needed = (self.spent + cost.seconds_per_epoch / (1 - KEPT_FREE)) / 60
        return UserError(
            f"minutes must be at least {math.ceil(10 * needed) / 10:.1f} for one epoch, got {self.minutes:g}: "
            f"{samples:,} samples take {cost.seconds_per_epoch:.0f} s, after {self.spent:.0f} s of reading and "
            "measuring; a smaller --encoder, a smaller --size or fewer samples take less"
        )


def planned(recipe: Recipe, epochs: int, *, given: Collection[str]) -> Recipe:
    """The recipe with these epochs; the warm-up, frozen epochs and milestones fit them where they are not `given`."""
    fields: dict[str, Any] = {"epochs": epochs}
    if "warmup_epochs" not in given:
        fields["warmup_epochs"] = min(recipe.warmup_epochs, WARM_UP_SHARE * epochs)
    if recipe.freeze_epochs is not None and "freeze_epochs" not in given:
        fields["freeze_epochs"] = recipe.freeze_epochs * epochs / recipe.epochs
    if recipe.milestones is not None and "milestones" not in given:
        fields["milestones"] = [epoch * epochs / recipe.epochs for epoch in recipe.milestones]
    return dataclasses.replace(recipe, **fields)


def measured_cost(
    method: Method,
    source: Source,
    recipe: Recipe,
    *,
    minutes: float | None,
    seed: int,
    precision: str,
    devices: int,
    probe: Callable[[Method], float] | None = None,
) -> Cost:
    """What a training costs: its first steps, with a copy of the method.

    The method and the global random generators are left as they were. Of several devices one is measured, with its part
    of the batch.

    Args:
        method: as it will be trained.
        source, recipe, seed, precision, probe: of the training.
        minutes: the budget, which decides how long is measured; None without one.
        devices: how many.

    Raises:
        KeyboardInterrupt: when the measuring is interrupted.
    """
    context = training_context_of(method, source, recipe, seed=seed)
    sizes, views = context.sizes, method.views
    if devices > 1:
        part = max(method.min_batch_size, context.batch_size // devices)
        recipe = dataclasses.replace(recipe, batch_size=part, micro_batch_size=None)
    recipe = dataclasses.replace(recipe, start_size=None)  # each size is measured by itself
    seconds = MEASURED_SECONDS if minutes is None else min(MEASURED_SECONDS, 60 * minutes / 50)

    def measured(size: int | None) -> tuple[_Timing, Method]:
        """The steps of a copy of the method; the data is not copied."""
        trial = copy.deepcopy(method, {id(method.training_context): method.training_context})
        if size is not None:
            trial.views = views.of_size(size)  # type: ignore[attr-defined]
        timing = _Timing(seconds if sizes is None else seconds / 2)
        with tempfile.TemporaryDirectory(prefix="likewise-") as folder:
            fitted = fit(
                trial,
                source,
                recipe,
                Path(folder),
                seed=seed,
                precision=precision,
                devices="1",
                progress=False,
                callbacks=[timing],
            )
        if fitted.interrupted:
            raise KeyboardInterrupt
        return timing, trial

    forget_peak_memory()
    with torch.random.fork_rng():
        timing, trial = measured(None)
        beginning = 0.0 if type(method).begin_epoch is Method.begin_epoch else max(0.0, timing.first - timing.step)
        began = time.perf_counter()
        if probe is not None:
            probe(trial)
        epoch = beginning + time.perf_counter() - began
        step = timing.step if sizes is None else mean_step(sizes, measured(sizes.first)[0].step, timing.step)
    return Cost(step, epoch, context.steps_per_epoch, peak_memory())


def mean_step(sizes: ViewSizes, first: float, last: float) -> float:
    """Seconds of a step over a training with views of these sizes; between the first and the last by their area.

    Args:
        sizes: of the views.
        first, last: seconds of a step with views of the first and of the last size.
    """
    if sizes.first == sizes.last:
        return last
    grown = (sizes.pixels() / sizes.steps - sizes.first**2) / (sizes.last**2 - sizes.first**2)
    return first + grown * (last - first)


class _Timing(L.Callback):
    """Times steps, and ends the training when there are enough.

    Args:
        seconds: how long to go on, at least.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends: list[float] = []

    @property
    def first(self) -> float:
        """Seconds of the first step."""
        return self._ends[1] - self._ends[0]

    @property
    def step(self) -> float:
        """Seconds of a step, the median of those after the first ones; of a training that short, of all."""
        times = [after - before for before, after in zip(self._ends, self._ends[1:], strict=False)]
        return median(times[WARM_UP_STEPS:] or times)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._ends.append(time.perf_counter())

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter())
        enough = len(self._ends) > WARM_UP_STEPS + MEASURED_STEPS
        if enough and self._ends[-1] - self._ends[0] >= self.seconds:
            trainer.should_stop = True
