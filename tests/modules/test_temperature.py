"""Temperatures: fixed, scheduled or learned."""

from __future__ import annotations

import math

import pytest
from torch import nn

from likewise.errors import UserError
from likewise.modules.temperature import Temperature


def test_temperatures_are_fixed_scheduled_or_learned() -> None:
    assert Temperature(0.2)(0.7) == pytest.approx(0.2)
    assert Temperature("0.2")(0.7) == pytest.approx(0.2)
    assert [Temperature("0.5:0.1")(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.5, 0.3, 0.1])
    for value, start in {"learned": 0.07, "learned:0.3": 0.3}.items():
        temperature = Temperature(value)
        assert list(temperature.parameters()) == [temperature.log]
        assert temperature(0.5).item() == pytest.approx(start)
    temperature(0.0).backward()
    assert temperature.log.grad == pytest.approx(0.3)
    nn.init.constant_(temperature.log, -20)
    assert temperature(0.0).item() == pytest.approx(0.01)
    assert not list(Temperature(0.2).parameters())


@pytest.mark.parametrize(
    "value",
    [0.0, -1.0, math.nan, math.inf, "", "warm", "0.1:", "0.5:0", "0.5:0.3:0.1", "learned:0.1:0.2", "learned:-1"],
)
def test_impossible_temperatures_are_refused(value: float | str) -> None:
    with pytest.raises(UserError, match="temperature must be a number above 0, FIRST:LAST, learned or learned:START"):
        Temperature(value)
