"""Commands as they are typed: `**hyperparameters` as options of their own, and the line that answers a mistake."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args

import cyclopts
from cyclopts import Group, Parameter

from likewise.commands.hyperparameters import (
    arguments,
    default_recipe,
    method_hyperparameters,
    recipe_hyperparameters,
)
from likewise.commands.option_names import UnknownOption
from likewise.commands.pretrain import pretrain
from likewise.training.recipe import Recipe, load_recipe


def with_hyperparameters(function: Callable[..., Any], words: list[str]) -> Callable[..., Any]:
    """A function that takes `**hyperparameters`, with each of them in its signature; another function as it is.

    Args:
        function: a command.
        words: a command line: its `--method` and `--recipe` decide which options there are, and their defaults. Where
            neither is given, help does not list the options of the default method.
    """
    own = inspect.signature(function, eval_str=True).parameters.values()
    if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in own):
        return function
    shown = _documented(function, Parameter())
    training = _documented(pretrain, Parameter(group=Group("Training", sort_key=1)))
    shown |= {name: p.replace(kind=p.KEYWORD_ONLY) for name, p in training.items() if name not in shown}
    method, name = _value_after("--method", words), _value_after("--recipe", words)
    recipe = load_recipe(name) if name else default_recipe(method or Recipe().method)
    recipe = dataclasses.replace(recipe, method=method, options={}) if method not in (None, recipe.method) else recipe
    named = bool(name or method)
    groups = {f"Recipe: {name or recipe.method}": recipe_hyperparameters(recipe)}
    if named or {"--help", "-h"}.isdisjoint(words):
        groups[f"Options of {recipe.method}"] = method_hyperparameters(recipe)
    for place, (title, hyperparameters) in enumerate(groups.items()):
        group = Group(title, sort_key=2 + place)
        for each in hyperparameters:
            if each.name not in shown:
                hint = Annotated[each.hint, Parameter(help=each.help, group=group)]
                shown[each.name] = inspect.Parameter(
                    each.name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=each.default
                )

    def stand_in(*positional: Any, **given: Any) -> Any:
        return function(*positional, **given)

    more = "" if named else "\n\n`--method NAME --help` also lists the options of a method."
    stand_in.__doc__ = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0] + more
    stand_in.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]
    stand_in.__annotations__ = {name: parameter.annotation for name, parameter in shown.items()}
    return stand_in


def _documented(function: Callable[..., Any], shared: Parameter) -> dict[str, inspect.Parameter]:
    """The parameters that can be typed, each with its help from the docstring."""
    texts = arguments(function.__doc__)
    found = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        only_from_python = any(isinstance(extra, Parameter) for extra in get_args(parameter.annotation)[1:])
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and not only_from_python:
            hint = Annotated[parameter.annotation, Parameter(help=texts[name]), shared]
            found[name] = parameter.replace(annotation=hint)
    return found


def _value_after(option: str, words: list[str]) -> str | None:
    """The value of an option in a command line, `--option VALUE` or `--option=VALUE`."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def message_of(error: Exception) -> str:
    """The line that a user's mistake is answered with."""
    command = " ".join(getattr(error, "command_chain", None) or ())
    if isinstance(error, cyclopts.UnknownOptionError):
        names = {name for argument in error.argument_collection if argument.parse for name in argument.names}
        known = [name[2:].replace("-", "_") for name in sorted(names) if name.startswith("--")]
        error = UnknownOption(error.token.keyword or error.token.value, known, command=command)
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None and error.target and command:
        argument = error.argument
        shown = argument.field_info.name.upper() if argument.index is not None else argument.name
        texts = arguments(error.target.__doc__)
        help_text = argument.parameter.help or texts.get(argument.field_info.name, f"see `likewise {command} --help`")
        needs = f"{command} needs {shown}" if argument.required else f"{shown} needs a value"
        return f"{needs}: {help_text.partition(';')[0].rstrip('.')}"
    return error.on_command_line() if isinstance(error, UnknownOption) else str(error)
