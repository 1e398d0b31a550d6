"""The floor of the house: what "the user can mend this" means, and the checks that say so."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, get_args, get_origin


class UserError(ValueError):
    """A user's mistake, told in one line: what is wrong, the value it got, and the remedy.

    The command line prints the line and exits with status 2; from Python it is a `ValueError`.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """ ", did you mean 'resnet18'?" for the known name closest to `name`, or "" when none is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""


def needs(module: str, extra: str) -> Any:
    """A module that not everyone has installed.

    Raises:
        UserError: when it is not there, with the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise UserError(f"this needs {package}, which is not installed: pip install 'likewise[{extra}]'") from error


_WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text",
    list: "a list", dict: "a mapping", type(None): "none",
}  # fmt: skip


def checked(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Values that people wrote, as the types that are asked for: whole numbers serve as numbers.

    Args:
        values: by name; each name is in `hints`.
        hints: by name a type, or a union of types.

    Raises:
        UserError: for a value of another type.
    """
    taken = {}
    for name, value in values.items():
        hint = hints[name]
        kinds = [get_origin(kind) or kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,))]
        if type(value) is int and float in kinds and int not in kinds:
            value = float(value)
        if Any not in kinds and type(value) not in kinds:
            raise UserError(f"{name} must be {' or '.join(_WORDS[kind] for kind in kinds)}, got {value!r}")
        taken[name] = value
    return taken


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop and did, with a checkpoint; the message is how to go on."""
