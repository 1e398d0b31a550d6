"""What is searched: `lr=1e-4:1e-2:log` is an interval, `augment=mild,strong` a choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from likewise.errors import UserError
from likewise.runs.declared import shown

FORMS = "NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C"
LOG = "log"
LARGEST = 2**53
WORDS = {"true": True, "false": False}
NONE = "none"


class SearchInterval(NamedTuple):
    """Numbers from `low` to `high`; of `log`, each order of magnitude is as likely as another."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def has(self, value: Any) -> bool:
        """Whether it is a value that could be tried."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and (not self.whole or isinstance(value, int))

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that must all be possible."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


class SearchChoice(NamedTuple):
    """Some values, of which none is nearer to one than to another."""

    values: tuple[Any, ...]

    def has(self, value: Any) -> bool:
        return any(type(value) is type(each) and value == each for each in self.values)

    @property
    def ends(self) -> tuple[Any, ...]:
        return self.values


Searched = SearchInterval | SearchChoice
Space = dict[str, Searched]


def names_in(over: Sequence[str]) -> list[str]:
    """The names of what is searched.

    Raises:
        UserError: for a text of another form, or a name twice.
    """
    if isinstance(over, str) or not all(isinstance(each, str) for each in over):
        raise UserError(f"over must be a list of texts {FORMS}, got {shown(over)}")
    if not over:
        raise UserError(f"over must name what is searched, {FORMS}, got nothing")
    names = []
    for text in over:
        name, equals, said = text.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not (equals and name and said.strip()):
            raise UserError(f"over must be {FORMS}, got {shown(text)}")
        if name in names:
            raise UserError(f"over must name {name} once, got it twice: give one range")
        names.append(name)
    return names


def parse_space(over: Sequence[str], hints: Mapping[str, Any]) -> Space:
    """What is searched, by name.

    Args:
        over: texts, as they are typed; their names are in `hints`.
        hints: the types of the values that can be searched, by name.

    Raises:
        UserError: for a range that is none, or not of the type that the value has.
    """
    texts = [text.partition("=")[2].strip() for text in over]
    return {name: _parsed(name, text, _kinds(hints[name])) for name, text in zip(names_in(over), texts, strict=True)}


def _kinds(hint: Any) -> set[Any]:
    """The types of a hint: int and none of `int | None`."""
    return {get_origin(kind) or kind for kind in (get_args(hint) or (hint,))}


def _parsed(name: str, text: str, kinds: set[Any]) -> Searched:
    if "," in text:
        return _choice(name, text, kinds)
    if ":" in text and kinds & {int, float}:
        return _interval(name, text, kinds)
    if ":" in text and str not in kinds:
        raise UserError(f"{name} must be searched over choices, {name}=A,B, got {shown(text)}: it is no number")
    remedy = f"a fixed value is --{name.replace('_', '-')} {text}"
    raise UserError(f"{name} must be LOW:HIGH or two choices or more, got {shown(text)}: {remedy}")


def _interval(name: str, text: str, kinds: set[Any]) -> SearchInterval:
    whole = float not in kinds
    low, high, *more = text.split(":")
    if more not in ([], [LOG]):
        raise UserError(f"{name} must be LOW:HIGH or LOW:HIGH:{LOG}, got {shown(text)}")
    ends = [_number(end, whole=whole) for end in (low, high)]
    least, most = (end if end is not None else math.nan for end in ends)
    if not least < most:  # nor where one of them is no number
        what = "whole numbers" if whole else "finite numbers"
        raise UserError(f"{name} must be LOW:HIGH, {what} of which LOW is below HIGH, got {shown(text)}")
    if more and least <= 0:
        raise UserError(f"{name} must have LOW above 0 on a scale of {LOG}, got {shown(text)}")
    return SearchInterval(least, most, log=bool(more), whole=whole)


def _choice(name: str, text: str, kinds: set[Any]) -> SearchChoice:
    words = [word.strip() for word in text.split(",")]
    values = tuple(_value(name, word, kinds) for word in words)
    if len({(type(value), value) for value in values}) < len(values):
        raise UserError(f"{name} must have different choices, got {shown(text)}")
    return SearchChoice(values)


def _value(name: str, word: str, kinds: set[Any]) -> Any:
    """A word as the type that the value has."""
    if bool in kinds and word.lower() in WORDS:
        return WORDS[word.lower()]
    if NoneType in kinds and word.lower() == NONE:
        return None
    if int in kinds and (whole := _number(word, whole=True)) is not None:
        return int(whole)
    if float in kinds and (number := _number(word, whole=False)) is not None:
        return float(number)
    if str in kinds and word:
        return word
    said = [text for kind, text in _SAID.items() if kind in kinds]
    raise UserError(f"{name} must have choices that are {' or '.join(said)}, got {shown(word)}")


_SAID = {int: "whole numbers", float: "finite numbers", bool: "true or false", NoneType: NONE, str: "words"}


def _number(text: str, *, whole: bool) -> float | int | None:
    """A finite number, or a whole one; None for any other text."""
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and (not whole or abs(number) <= LARGEST) else None
