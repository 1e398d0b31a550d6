"""Annotations of the package are checked while it runs: shapes by jaxtyping, all other types by beartype alone."""

from __future__ import annotations

import typing
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jaxtyping
from beartype import beartype

with_shapes = jaxtyping.jaxtyped


def install() -> None:
    """Check what is imported of the package from now on."""
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook("likewise", "beartype.beartype")


def checked(*, typechecker: Any) -> Callable[[Any], Any]:
    """In place of `jaxtyping.jaxtyped`, which makes a call of any function, with shapes or without, five times as slow
    as beartype does."""

    def decorate(function: Any) -> Any:
        if isinstance(function, type):
            return with_shapes(function, typechecker=typechecker)
        given = function.__annotations__
        hints = {name: meant(annotation, function.__globals__) for name, annotation in given.items()}
        if "jaxtyping." in repr(hints):
            return with_shapes(function, typechecker=typechecker)
        if "<locals>" in function.__qualname__:
            return function  # mypy is enough: to decorate it anew in each call takes longer than most of them run
        function.__annotations__ = hints
        made = beartype(function)
        function.__annotations__ = made.__annotations__ = given
        return made

    return decorate


def meant(annotation: Any, names: dict[str, Any]) -> Any:
    """An annotation as it reads at run time, or Any if what it names is imported for mypy only."""
    try:
        return typing.get_type_hints(SimpleNamespace(__annotations__={"": annotation}), names, include_extras=True)[""]
    except Exception:
        return Any
