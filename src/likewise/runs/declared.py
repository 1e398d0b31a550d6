"""Values of files from elsewhere against the types that are declared for them; a wrong one is named by its place.

class Point(TypedDict):
    x: float
    names: NotRequired[list[str]]

check_declared({"x": 1, "names": ["a", 3]}, Point)  # UserError: names[1] must be text, got 3
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from likewise.errors import UserError

MOST_SHOWN = 60
"""Letters of a wrong value in a message."""
RULES = {str: "text", bool: "true or false", int: "a whole number", float: "a finite number", NoneType: "none"}


@dataclass(frozen=True)
class Range:
    """`Annotated[int, Range(0, 9)]`: from `least` to `most`."""

    least: int | float
    most: int | float

    def __str__(self) -> str:
        return f"from {self.least:,} to {self.most:,}"


Count = Annotated[int, Range(0, 2**53)]
"""A whole number that every reader of JSON keeps exactly."""
Share = Annotated[float, Range(0, 1)]
TileSide = Annotated[int, Range(16, 2**13)]
"""Of squares that images are cut into, in pixels: see `likewise.data.tiling`."""
Measured = Annotated[float, "or not finite"]
"""A number that was measured: infinity and NaN are results too."""


def check_declared(value: Any, declared: Any, name: str = "", *, complete: bool = True) -> None:
    """Raise `UserError` unless a value, of JSON or YAML, is of the type that is declared.

    Args:
        value: of dicts, lists, texts, numbers, true, false and none.
        declared: `Any`, one of these types, a `list[…]`, `dict[str, …]`, `tuple[…]`, a union, a `Literal`, a
            `TypedDict`, or one of them `Annotated` with a `Range`. Keys that a `TypedDict` does not declare are passed.
        name: of the value, "" of a whole file.
        complete: whether all keys that are declared as required must be there; else an object may also be none.
    """
    if declared is Any:
        return
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is Annotated:
        _check_annotated(value, *arguments, name=name, complete=complete)
    elif origin in (Union, UnionType):
        _check_union(value, arguments, name, complete)
    elif origin is Literal:
        _require(value in arguments, name, " or ".join(map(repr, arguments)), value)
    elif is_typeddict(declared):
        _require(isinstance(value, dict), name, "an object", value)
        for key, kind in _keys(declared).items():
            optional = get_origin(kind) is NotRequired
            if key in value:
                wanted = get_args(kind)[0] if optional else kind
                if value[key] is None and is_typeddict(wanted) and not complete:
                    continue  # as good as absent
                check_declared(value[key], wanted, f"{name}.{key}" if name else key, complete=complete)
            elif complete and not optional:
                raise UserError(f"{f'{name}.' * bool(name)}{key} must be given, it is absent")
    elif declared is dict or origin is dict:
        _require(isinstance(value, dict), name, "an object", value)
        for key, each in value.items() if arguments else ():
            check_declared(each, arguments[1], f"{name}.{key}" if name else key, complete=complete)
    elif declared is list or origin in (list, Sequence, Iterable) or (origin is tuple and arguments[1:] == (...,)):
        _require(isinstance(value, list), name, "a list", value)
        for place, each in enumerate(value if arguments else ()):
            check_declared(each, arguments[0], f"{name}[{place}]", complete=complete)
    elif origin is tuple:
        _require(
            isinstance(value, list | tuple) and len(value) == len(arguments), name, f"a list of {len(arguments)}", value
        )
        for place, (each, kind) in enumerate(zip(value, arguments, strict=True)):
            check_declared(each, kind, f"{name}[{place}]", complete=complete)
    else:
        _require(_is(value, declared), name, RULES[declared], value)


def check_arguments(function: Callable[..., Any], given: Mapping[str, Any], name: str) -> None:
    """Raise `UserError` unless a function (or a class) can be called with these values by name.

    Parameters whose annotation is none of the types above are not looked into.
    """
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(vars(function)["__init__"] if isinstance(function, type) else function)
    for key, value in given.items():
        if key not in parameters:
            raise UserError(f"{name}.{key} must be absent: {name} has {', '.join(parameters)}")
        if _checkable(hints.get(key)):
            check_declared(value, hints[key], f"{name}.{key}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in given:
            raise UserError(f"{name}.{key} must be given, it is absent")


def shown(value: Any) -> str:
    """A value in a message: its `repr`, and of a long one the beginning."""
    value = value[: MOST_SHOWN + 1] if isinstance(value, str) else value
    text = repr(value) if _small(value) else f"a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _small(value: Any) -> bool:
    """Whether `repr` of a value is cheap: a plain one, or a few of them."""
    if isinstance(value, list | tuple):
        return len(value) < 10 and all(map(_small, value))
    if isinstance(value, dict):
        return len(value) < 10 and all(map(_small, (*value, *value.values())))
    if isinstance(value, str):
        return len(value) < 1000
    return isinstance(value, float | bool | NoneType) or (isinstance(value, int) and abs(value) < 1 << 64)


@cache
def _keys(declared: Any) -> dict[str, Any]:
    # Not its __required_keys__: with postponed annotations these are all.
    return get_type_hints(declared, include_extras=True)


def _check_annotated(value: Any, declared: Any, *extras: Any, name: str, complete: bool) -> None:
    limits = next((extra for extra in extras if isinstance(extra, Range)), None)
    if declared is float and limits is None:
        _require(_is_number(value), name, "a number", value)
        return
    if limits is None:
        check_declared(value, declared, name, complete=complete)
        return
    rule = f"{RULES[declared]} {limits}"
    _require(_is(value, declared) and limits.least <= value <= limits.most, name, rule, value)


def _check_union(value: Any, kinds: tuple[Any, ...], name: str, complete: bool) -> None:
    """The message is that of the only kind that could be meant, or names all of them."""
    if value is None and NoneType in kinds:
        return
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1:
        check_declared(value, others[0], name, complete=complete)
        return
    for kind in others:
        try:
            check_declared(value, kind, name, complete=complete)
        except UserError:
            continue
        return
    _require(False, name, " or ".join(map(_rule, others)), value)


def _rule(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    plain = get_origin(kind) or kind
    return RULES.get(plain) or {list: "a list", dict: "an object"}.get(plain, "an object")


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return _is_number(value) and math.isfinite(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_number(value: Any) -> bool:
    """A number that a float can hold."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**300)


def _checkable(hint: Any) -> bool:
    """Whether a parameter's annotation is one of plain values."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return all(map(_checkable, get_args(hint)))
    return hint in (*RULES, list, dict) or origin in (list, dict, tuple, Sequence, Iterable, Literal)


def _require(ok: bool, name: str, rule: str, value: Any) -> None:
    if not ok:
        raise UserError(f"{name or 'the file'} must be {rule}, got {shown(value)}")
