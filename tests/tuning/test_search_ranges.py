"""What is searched, as it is typed."""

from __future__ import annotations

from typing import Any

import pytest

from likewise.errors import UserError
from likewise.tuning.ranges import SearchChoice, SearchInterval, names_in, parse_space

HINTS: dict[str, Any] = {
    "lr": float,
    "batch_size": int | None,
    "augment": str | list[Any],
    "weight_decay": float | None,
    "symmetric": bool,
}


def test_ranges_and_choices() -> None:
    found = parse_space(
        [
            "lr=1e-4:1e-2:log",
            "batch-size=16:64",
            "augment=mild,strong",
            "weight_decay=none,0,0.1",
            "symmetric=true,false",
        ],
        HINTS,
    )
    assert found == {
        "lr": SearchInterval(1e-4, 1e-2, log=True),
        "batch_size": SearchInterval(16, 64, whole=True),
        "augment": SearchChoice(("mild", "strong")),
        "weight_decay": SearchChoice((None, 0.0, 0.1)),
        "symmetric": SearchChoice((True, False)),
    }
    assert found["lr"].has(1e-4)
    assert not found["lr"].has(0.1)
    assert not found["lr"].has(None)
    assert found["batch_size"].has(32)
    assert not found["batch_size"].has(32.5)
    assert found["symmetric"].has(True)
    assert not found["symmetric"].has(1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr", "over must be NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C, got 'lr'"),
        ("lr=", "over must be NAME=LOW:HIGH"),
        ("lr=1e-2:1e-4", "lr must be LOW:HIGH, finite numbers of which LOW is below HIGH, got '1e-2:1e-4'"),
        ("lr=1e-4:nan", "lr must be LOW:HIGH, finite numbers"),
        ("lr=0:1:log", "lr must have LOW above 0 on a scale of log, got '0:1:log'"),
        ("lr=0.1:1:ln", "lr must be LOW:HIGH or LOW:HIGH:log, got '0.1:1:ln'"),
        ("lr=0.1", "lr must be LOW:HIGH or two choices or more, got '0.1': a fixed value is --lr 0.1"),
        ("batch_size=16:32.5", "batch_size must be LOW:HIGH, whole numbers of which LOW is below HIGH"),
        ("batch_size=16,many", "batch_size must have choices that are whole numbers or none, got 'many'"),
        ("augment=mild", "augment must be LOW:HIGH or two choices or more, got 'mild'"),
        ("augment=mild,mild", "augment must have different choices, got 'mild,mild'"),
        ("symmetric=0:1", "symmetric must be searched over choices, symmetric=A,B, got '0:1': it is no number"),
    ],
)
def test_what_is_no_range(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        parse_space([text], HINTS)
    assert str(error.value).startswith(said)


def test_a_name_twice_and_nothing() -> None:
    with pytest.raises(UserError, match="over must name lr once"):
        names_in(["lr=1:2", "lr=2:3"])
    with pytest.raises(UserError, match="got nothing"):
        names_in([])
    with pytest.raises(UserError, match="a list of texts"):
        names_in("lr=1:2")
