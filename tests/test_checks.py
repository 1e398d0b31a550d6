"""Every bad value is told in one grammar: NAME must be RULE, got VALUE."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from likewise.checks import (
    check_choice,
    check_finite,
    check_int,
    check_interval,
    check_non_negative,
    check_positive,
    check_types,
    require,
)
from likewise.errors import UserError

MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: require(False, "a", "b", 3), "a must be b, got 3"),
    (lambda: require(False, "a", "b", 3, "use c"), "a must be b, got 3: use c"),
    (lambda: check_int(a=0), "a must be at least 1, got 0"),
    (lambda: check_int(2, 4, a=5), "a must be from 2 to 4, got 5"),
    (lambda: check_int(a=1.5), "a must be a whole number, got 1.5"),
    (lambda: check_int(a=True), "a must be a whole number, got True"),
    (lambda: check_int(a="7"), "a must be a whole number, got '7'"),
    (lambda: check_finite(a=math.inf), "a must be finite, got inf"),
    (lambda: check_positive(a=1, b=0), "b must be above 0, got 0"),
    (lambda: check_positive(a=math.nan), "a must be finite, got nan"),
    (lambda: check_positive(a=torch.tensor(-0.5)), "a must be above 0, got -0.5"),
    (lambda: check_positive(a=torch.ones(2)), "a must be one number, got a tensor of shape (2,)"),
    (lambda: check_non_negative(a=-1), "a must be 0 or more, got -1"),
    (lambda: check_interval(0, 1, a=1.5), "a must be from 0 to 1, got 1.5"),
    (lambda: check_interval(0, 1, a=-0.1), "a must be from 0 to 1, got -0.1"),
    (lambda: check_interval(0, 1, a=math.nan), "a must be from 0 to 1, got nan"),
    (lambda: check_interval(0, 1, closed="left", a=1), "a must be from 0 to below 1, got 1"),
    (lambda: check_interval(0, 1, closed="right", a=0), "a must be above 0 and at most 1, got 0"),
    (lambda: check_interval(0, 1, closed="neither", a=0), "a must be above 0 and below 1, got 0"),
    (lambda: check_choice(("x", "soft"), a="sofd"), "a must be x or soft, got 'sofd', did you mean 'soft'?"),
    (lambda: check_choice((1, 2, 3), a=4), "a must be one of 1, 2, 3, got 4"),
    (lambda: check_types({"a": "x"}, {"a": int | None}), "a must be a whole number or none, got 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_mistakes(check: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        check()
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [None, 1, 1.0, torch.tensor(1.0), torch.ones(1)])
def test_good_numbers_and_none_pass(value: Any) -> None:
    check_finite(a=value)
    check_positive(a=value)
    check_non_negative(a=value)
    if value is None:
        check_int(a=value)
        check_interval(0, 1, a=value)
        check_choice(("x",), a=value)


def test_whole_numbers_serve_as_numbers() -> None:
    hints = {"a": float, "b": int | float, "c": Any}
    converted = check_types({"a": 1, "b": 1, "c": 1}, hints)
    assert [type(converted[name]) for name in hints] == [float, int, int]
