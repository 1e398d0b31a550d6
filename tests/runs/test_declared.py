"""Values against the types that are declared for them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from likewise.errors import UserError
from likewise.runs.declared import Count, Measured, Range, Share, check_arguments, check_declared


class Inner(TypedDict):
    """Part of a document."""

    count: Count
    note: NotRequired[str | None]


class Document(TypedDict):
    """A document."""

    inner: Inner
    points: list[tuple[int, float]]
    level: Annotated[int, Range(1, 3)] | Literal["all"]
    by_name: dict[str, Share]
    loss: Measured


GOOD: dict[str, Any] = {
    "inner": {"count": 0, "note": None, "of a later version": [1]},
    "points": [[1, 2], [3, 4.5]],
    "level": "all",
    "by_name": {"a": 1, "b": 0.5},
    "loss": math.nan,
}


def test_what_is_as_declared_passes() -> None:
    check_declared(GOOD, Document)
    check_declared({"level": 3}, Document, complete=False)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("inner", [], r"inner must be an object, got \[\]"),
        ("inner", {"note": "x"}, "inner.count must be given, it is absent"),
        ("inner", {"count": True}, "inner.count must be a whole number from 0 to .*, got True"),
        ("inner", {"count": 10**400}, "inner.count must be a whole number from 0 to .*, got a int"),
        ("inner", {"count": 1, "note": 3}, "inner.note must be text, got 3"),
        ("points", [[1, 2], [3]], r"points\[1\] must be a list of 2, got \[3\]"),
        ("points", [[1.5, 2]], r"points\[0\]\[0\] must be a whole number, got 1.5"),
        ("points", [[1, math.inf]], r"points\[0\]\[1\] must be a finite number, got inf"),
        ("level", 4, "level must be a whole number or 'all', got 4"),
        ("by_name", {"a": 1.1}, "by_name.a must be a finite number from 0 to 1, got 1.1"),
        ("loss", None, "loss must be a number, got None"),
        ("loss", "x" * 10**6, r"loss must be a number, got 'x{59}…$"),
    ],
)
def test_what_is_not_is_named_by_its_place(place: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_declared(GOOD | {place: value}, Document)


def build(name: str, *, size: int, shares: list[float] | None = None, other: object = None) -> None:
    """Something with arguments."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a"}, "part.size must be given, it is absent"),
        ({"name": "a", "size": 1, "sise": 2}, "part.sise must be absent: part has name, size, shares, other"),
        ({"name": 3, "size": 1}, "part.name must be text, got 3"),
        ({"name": "a", "size": 1, "shares": [1, "x"]}, r"part.shares\[1\] must be a finite number, got 'x'"),
    ],
)
def test_arguments_of_a_function_are_checked_by_its_annotations(given: dict[str, Any], message: str) -> None:
    check_arguments(build, {"name": "a", "size": 3, "shares": [0.5], "other": object()}, "part")
    with pytest.raises(UserError, match=message):
        check_arguments(build, given, "part")
