"""A budget of time: how many epochs fit, and what measuring leaves as it was."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from likewise.data.open import open_source
from likewise.methods.base import Method, ViewSizes
from likewise.modalities.build import Training, build_training
from likewise.training import budget
from likewise.training.budget import Budget, Cost, mean_step, measured_cost, planned
from likewise.training.fit import training_context_of
from likewise.training.recipe import Recipe


def test_epochs_are_those_that_fit_with_a_twentieth_left_free() -> None:
    cost = Cost(step=0.5, epoch=3.0, steps_per_epoch=14)
    assert cost.seconds_per_epoch == 10
    assert Budget(minutes=2, spent=20).epochs(cost) == 9  # 95 of 100 seconds
    assert Budget(minutes=2, spent=115).epochs(cost) == 0
    assert Budget(minutes=2, spent=500).epochs(cost) == 0


def test_a_budget_that_is_too_small_names_one_that_is_not() -> None:
    cost, small_one = Cost(step=1.0, epoch=0.0, steps_per_epoch=60), Budget(minutes=1, spent=9)
    message = str(small_one.too_small(cost, samples=7680))
    assert message.startswith(
        "minutes must be at least 1.3 for one epoch, got 1: 7,680 samples take 60 s, after 9 s of "
    )
    assert Budget(minutes=1.3, spent=9).epochs(cost) == 1


def test_what_a_recipe_says_in_epochs_fits_the_shorter_training() -> None:
    recipe = Recipe(epochs=100, warmup_epochs=5.0, freeze_epochs=10.0)
    short = planned(recipe, 20, given=())
    assert (short.epochs, short.warmup_epochs, short.freeze_epochs) == (20, 2.0, 2.0)
    asked = planned(recipe, 20, given=("warmup_epochs", "freeze_epochs"))
    assert (asked.warmup_epochs, asked.freeze_epochs) == (5.0, 10.0)
    assert planned(recipe, 200, given=()).warmup_epochs == 5.0


def small(method: str, **options: int) -> Training:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (96, 8, 8), dtype=np.uint8)
    recipe = Recipe(method=method, encoder="resnet8", batch_size=16, options=options)
    return build_training(open_source(images), recipe, kept=None)


@pytest.mark.parametrize(("method", "options"), [("simclr", {}), ("deepcluster", {"prototypes": 8})])
def test_measuring_changes_neither_the_method_nor_the_random_generators(method: str, options: dict[str, int]) -> None:
    recipe, source, learner, _ = small(method, **options)
    learner.prepare(training_context_of(learner, source, recipe, seed=3))
    weights = copy.deepcopy(learner.state_dict())
    torch.manual_seed(7)
    state = torch.get_rng_state()
    asked: list[Method] = []

    def probe(trained: Method) -> float:
        asked.append(trained)
        return 0.5

    how = {"minutes": 0.01, "seed": 3, "precision": "32-true"}
    cost = measured_cost(learner, source, recipe, devices=1, probe=probe, **how)
    assert cost.steps_per_epoch == 6
    assert cost.step > 0
    assert cost.epoch > 0  # the probe, and the clustering
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in learner.state_dict().items())
    (trained,) = asked
    assert any(not torch.equal(value, weights[name]) for name, value in trained.state_dict().items())  # real steps


def test_of_several_devices_one_is_measured_with_its_part_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, source, learner, _ = small("simclr")
    learner.prepare(training_context_of(learner, source, recipe, seed=0))
    seen = []
    make_views = type(learner).make_views
    monkeypatch.setattr(
        type(learner),
        "make_views",
        lambda self, batch, *rest: (seen.append(len(batch.samples)), make_views(self, batch, *rest))[1],
    )
    measured_cost(learner, source, recipe, minutes=0.01, seed=0, precision="32-true", devices=4)
    assert set(seen) == {4}


def test_a_step_of_growing_views_costs_by_their_area() -> None:
    sizes = ViewSizes(8, 24, steps=8)  # 3 steps of 8 px, 3 of 16 px, 2 of 24 px
    assert mean_step(sizes, 1.0, 9.0) == pytest.approx((3 * 1 + 3 * 4 + 2 * 9) / 8)
    assert mean_step(ViewSizes(24, 24, steps=8), 9.0, 9.0) == 9


def test_views_that_grow_are_measured_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, source, learner, _ = small("simclr")
    recipe = dataclasses.replace(recipe, start_size=4, epochs=4)
    learner.prepare(training_context_of(learner, source, recipe, seed=0))
    seen: list[int] = []
    make_views = type(learner).make_views

    def watched(self: Method, *arguments: Any) -> Any:
        views = make_views(self, *arguments)
        seen.append(views[0].shape[-1])
        return views

    monkeypatch.setattr(type(learner), "make_views", watched)
    ends: list[tuple[ViewSizes, float, float]] = []
    monkeypatch.setattr(budget, "mean_step", lambda *those: ends.append(those) or 0.125)
    cost = measured_cost(learner, source, recipe, minutes=0.01, seed=0, precision="32-true", devices=1)
    assert cost.step == 0.125
    ((sizes, first, last),) = ends
    assert sizes == ViewSizes(4, 8, steps=24)
    assert first > 0
    assert last > 0
    assert sorted(seen, reverse=True) == seen
    assert set(seen) == {4, 8}
    views: Any = learner.views
    assert views.size == 8
