"""The training that fits a budget of time: the encoder, and as many epochs as there is time for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

import torch

from likewise.methods.base import Method
from likewise.modalities.build import Training, build_training
from likewise.modalities.lookup import modality_of
from likewise.registry import MODALITIES
from likewise.runs.config import BudgetConfig
from likewise.training.budget import FEW_EPOCHS, Budget, Cost, measured_cost, planned
from likewise.training.fit import training_context_of
from likewise.training.machine import Plan, device_count, fastest_plan, threads_of


class BudgetedTraining(NamedTuple):
    """A training that fits a budget."""

    training: Training
    plan: Plan
    budget: BudgetConfig
    cost: Cost


def within_budget(
    training: Training,
    minutes: float,
    *,
    started: float,
    seed: int,
    precision: str,
    threads: int | str,
    devices: str,
    given: Collection[str],
    may_shrink: bool,
    probe: Callable[[Method], float] | None,
) -> BudgetedTraining:
    """The training with as many epochs as fit into `minutes`.

    Args:
        training: as it would be without a budget, prepared for its context.
        minutes: the budget.
        started: on the clock of `time.monotonic`, when the budget began.
        seed, precision, threads, devices, probe: of the training.
        given: names of values of the recipe that stay as they are.
        may_shrink: whether the encoder was chosen for the samples, and so can be a smaller one.

    Raises:
        UserError: when not one epoch fits.
    """
    while True:
        recipe, source, method, _ = training
        context = training_context_of(method, source, recipe, seed=seed)
        method.prepare(context)
        plan = fastest_plan(method, context, precision=precision, threads=threads)
        number = device_count(devices)
        with threads_of(plan.threads):
            cost = measured_cost(
                method,
                source,
                recipe,
                minutes=minutes,
                seed=seed,
                precision=plan.precision,
                devices=number,
                probe=probe,
            )
        budget = Budget(minutes, time.monotonic() - started)
        epochs = budget.epochs(cost)
        known = source.modality in MODALITIES
        smaller = modality_of(source.modality).smaller_encoders.get(recipe.encoder) if known else None
        if epochs >= FEW_EPOCHS or not may_shrink or smaller is None:
            break
        torch.manual_seed(seed)
        shrunk = dataclasses.replace(recipe, encoder=smaller)
        training = build_training(source, shrunk, views=method.views, given=given, kept=None)
    if epochs < 1:
        raise budget.too_small(cost, samples=context.samples)
    speed = context.batch_size / cost.step
    kept: BudgetConfig = {
        "minutes": minutes,
        "spent_seconds": round(budget.spent, 1),
        "samples_per_second": round(speed, 1),
        "seconds_per_epoch": round(cost.seconds_per_epoch, 1),
    }
    return BudgetedTraining(training._replace(recipe=planned(recipe, epochs, given=given)), plan, kept, cost)
