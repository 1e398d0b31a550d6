"""Checks of values that people choose. A bad one is a `UserError`: "NAME must be RULE, got VALUE", and the remedy.

    check_int(projection_dim=projection_dim, hidden_dim=hidden_dim)
    check_interval(0, 1, closed="left", momentum=momentum)
    check_choice(("nce", "softmax"), loss=loss)
    require(prototypes <= samples, "prototypes", f"at most the {samples} samples", prototypes)

Values are given by name. None, for an option that may be absent, passes every check but `require`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from numbers import Integral
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from likewise.errors import UserError, nearest

RANGES = {
    "both": "from {} to {}",
    "left": "from {} to below {}",
    "right": "above {} and at most {}",
    "neither": "above {} and below {}",
}
MOST = 2**53  # of whole numbers without a bound of their own: no index, size or count is larger
LARGEST_SEED = 2**63 - 1  # that torch takes
TYPES = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text",
    list: "a list", dict: "a mapping", type(None): "none",
}  # fmt: skip


def require(ok: bool, name: str, rule: str, value: object, remedy: str = "") -> None:
    """Raises `UserError` unless `ok`.

    Args:
        ok: whether the value is as it must be.
        name: of the value.
        rule: what it must be, as in "name must be RULE".
        value: what it is; its `str` is shown.
        remedy: what to do instead.
    """
    if not ok:
        raise UserError(f"{name} must be {rule}, got {value}{': ' * bool(remedy)}{remedy}")


def check_int(minimum: int = 1, maximum: int | None = None, **values: Any) -> None:
    """Raises `UserError` unless each is a whole number of at least `minimum` and at most `maximum` (2**53 if None)."""
    rule = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    for name, value in _present(values):
        require(isinstance(value, Integral) and not isinstance(value, bool), name, "a whole number", repr(value))
        require(minimum <= value and (maximum is None or value <= maximum), name, rule, value)
        require(maximum is not None or value <= MOST, name, f"at most {MOST:,}", value)


def check_seed(seed: int) -> None:
    """Raises `UserError` unless torch takes it as a seed."""
    check_int(0, seed=seed)
    check_int(0, LARGEST_SEED, seed=seed)


def check_finite(**values: Any) -> None:
    """Raises `UserError` unless each is one finite number, or a tensor with one."""
    for name, value in _present(values):
        _number(name, value)


def check_positive(**values: Any) -> None:
    """Raises `UserError` unless each is one finite number above 0, or a tensor with one."""
    for name, value in _present(values):
        number = _number(name, value)
        require(number > 0, name, "above 0", number)


def check_non_negative(**values: Any) -> None:
    """Raises `UserError` unless each is one finite number of 0 or more, or a tensor with one."""
    for name, value in _present(values):
        number = _number(name, value)
        require(number >= 0, name, "0 or more", number)


def check_interval(
    low: int | float,
    high: int | float,
    *,
    closed: Literal["both", "left", "right", "neither"] = "both",
    **values: Any,
) -> None:
    """Raises `UserError` unless each lies between `low` and `high`; `closed` names the ends that belong to it."""
    for name, value in _present(values):
        above = low <= value if closed in ("both", "left") else low < value
        below = value <= high if closed in ("both", "right") else value < high
        require(above and below, name, RANGES[closed].format(f"{low:g}", f"{high:g}"), value)


def check_choice(choices: Collection[Any], **values: Any) -> None:
    """Raises `UserError` unless each is one of the choices; the message names the nearest one."""
    names = [str(choice) for choice in choices]
    rule = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
    for name, value in _present(values):
        require(value in choices, name, rule, f"{value!r}{nearest(str(value), names)}")


def check_types(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the types that are asked for: whole numbers serve as numbers.

    Args:
        values: by name; each name is in `hints`.
        hints: by name a type, or a union of types.

    Raises:
        UserError: for a value of another type.
    """
    converted = {}
    for name, value in values.items():
        hint = hints[name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        types = [get_origin(kind) or kind for kind in kinds]
        if type(value) is int and float in types and int not in types:
            value = float(value) if abs(value) <= sys.float_info.max else math.inf
        if Any not in types:
            require(type(value) in types, name, " or ".join(TYPES[kind] for kind in types), repr(value))
        if type(value) is list and list[float] in kinds:
            value = [check_types({name: each}, {name: float})[name] for each in value]
        converted[name] = value
    return converted


def _present(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if value is not None]


def _number(name: str, value: Any) -> int | float:
    """The value as a finite Python number; a tensor must have one element."""
    if hasattr(value, "item"):
        require(math.prod(value.shape) == 1, name, "one number", f"a tensor of shape {tuple(value.shape)}")
        value = value.item()
    require(isinstance(value, int) or math.isfinite(value), name, "finite", value)
    return value
