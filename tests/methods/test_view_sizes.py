"""Views that grow: the size is a function of the step, and methods whose views may grow learn from smaller ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_methods import BATCH, CASES, SAMPLES, SIZE, Views, batch, gradients, ready
from torch import Tensor

from likewise.methods import method_class
from likewise.methods.base import Method, TrainingContext, ViewSizes

GROWING = [case for case, (name, _) in CASES.items() if method_class(name).any_size]


def test_three_quarters_of_the_steps_are_parted_among_the_smaller_sizes() -> None:
    sizes = ViewSizes(32, 64, steps=80)
    assert sizes.counts() == {32: 15, 40: 15, 48: 15, 56: 15, 64: 20}
    assert [sizes.at(step) for step in (0, 14, 15, 59, 60, 79)] == [32, 32, 40, 56, 64, 64]
    assert sizes.pixels() == 15 * (32**2 + 40**2 + 48**2 + 56**2) + 20 * 64**2
    assert sizes.counts(until=20) == {32: 15, 40: 5}
    assert str(sizes) == "from 32 to 64 px over 60 of 80 steps"
    assert ViewSizes(30, 45, steps=8).counts() == {30: 3, 38: 3, 45: 2}  # no whole number of strides
    assert ViewSizes(64, 64, steps=9).counts() == {64: 9}


@given(first=st.integers(4, 100), more=st.integers(0, 100), steps=st.integers(1, 300))
def test_sizes_only_grow_and_are_counted_as_they_come(first: int, more: int, steps: int) -> None:
    sizes = ViewSizes(first, first + more, steps)
    each = [sizes.at(step) for step in range(steps)]
    assert each == sorted(each)
    assert Counter(each) == sizes.counts()
    assert sizes.pixels() == sum(size**2 for size in each)
    assert sizes.pixels(steps // 2) == sum(size**2 for size in each[: steps // 2])


class CroppedViews(Views):
    """The middle of the images, so many pixels of it."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size

    def of_size(self, size: int) -> CroppedViews:
        return CroppedViews(size)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return super().__call__(self.clean(batch), generator)

    def clean(self, batch: Tensor) -> Tensor:
        edge = (SIZE - self.size) // 2
        return batch[..., edge : edge + self.size, edge : edge + self.size]


@pytest.mark.parametrize("case", GROWING)
def test_a_step_has_the_views_of_its_size(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = ready(case)
    whole = method.views = CroppedViews()
    method.training_context = method.training_context._replace(sizes=ViewSizes(SIZE - 4, SIZE, steps=40))
    monkeypatch.setattr(type(method), "log_dict", lambda *_, **__: None)
    monkeypatch.setattr(type(method), "begin_epoch", lambda *_: None)
    sides: list[int] = []
    objective = method.objective

    def watched(*views: Any) -> Any:
        sides.append(max(view.shape[-1] for view in views if isinstance(view, Tensor) and view.ndim == 4))
        return objective(*views)

    monkeypatch.setattr(method, "objective", watched)
    for step in (0, 30):
        monkeypatch.setattr(Method, "global_step", step)
        loss = method.training_step(batch(step), 0)
        assert torch.isfinite(loss)
        loss.backward()
    assert sides == [SIZE - 4, SIZE]
    assert method.views is whole
    assert gradients(method)


def test_a_method_knows_of_no_sizes_unless_views_grow() -> None:
    assert TrainingContext(SAMPLES, BATCH, steps=4, steps_per_epoch=4).sizes is None
