"""Commands as they are typed: `**hyperparameters` as options of their own, and the line that answers a mistake."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_type_hints

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
from likewise.errors import nearest
from likewise.training.recipe import Recipe, load_recipe


def as_typed(function: Callable[..., Any], words: list[str]) -> Callable[..., Any]:
    """A command for the command line: each parameter that can be typed, with its help, and none that cannot.

    `**hyperparameters` become the fields of the recipe and the options of the method, each with its type and default.

    Args:
        function: a command.
        words: a command line: its `--method` and `--recipe` decide which options there are, and their defaults. Where
            neither is given, help does not list the options of the default method.
    """
    shown = _parameters(function, Parameter())
    description = inspect.cleandoc(function.__doc__ or "").partition("\n\nArgs:")[0]
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
        training = _parameters(pretrain, Parameter(group=Group("Training", sort_key=1)))
        shown |= {name: p.replace(kind=p.KEYWORD_ONLY) for name, p in training.items() if name not in shown}
        hyperparameters = _hyperparameters(words)
        shown |= {name: p for name, p in hyperparameters.items() if name not in shown}
        if not _named(words):
            description += "\n\n`--method NAME --help` also lists the options of a method."

    def command(*positional: Any, **given: Any) -> Any:
        return function(*positional, **given)

    command.__doc__ = description
    command.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in shown.items()}
    return command


def _parameters(function: Callable[..., Any], shared: Parameter) -> dict[str, inspect.Parameter]:
    """The parameters that can be typed, each with its help from the docstring."""
    texts = arguments(function.__doc__)
    # Without the result's type, whose module may load torch.
    written = SimpleNamespace(__annotations__={k: v for k, v in function.__annotations__.items() if k != "return"})
    hints = get_type_hints(written, inspect.unwrap(function).__globals__, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        only_from_python = any(getattr(extra, "parse", None) is False for extra in get_args(hints[name])[1:])
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and not only_from_python:
            hint: Any = hints[name]
            found[name] = parameter.replace(annotation=Annotated[hint, Parameter(help=texts[name]), shared])
    return found


def _hyperparameters(words: list[str]) -> dict[str, inspect.Parameter]:
    """The fields of the recipe and the options of the method that a command line names, in a group each."""
    method, name = _value_after("--method", words), _value_after("--recipe", words)
    recipe = load_recipe(name) if name else default_recipe(method or Recipe().method)
    recipe = dataclasses.replace(recipe, method=method, options={}) if method not in (None, recipe.method) else recipe
    groups = {f"Recipe: {name or recipe.method}": recipe_hyperparameters(recipe)}
    if _named(words) or (words and {"--help", "-h"}.isdisjoint(words)):
        groups[f"Options of {recipe.method}"] = method_hyperparameters(recipe)
    found = {}
    for place, (title, hyperparameters) in enumerate(groups.items()):
        group = Group(title, sort_key=2 + place)
        for each in hyperparameters:
            hint = Annotated[each.hint, Parameter(help=each.help, group=group)]
            found[each.name] = inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=each.default
            )
    return found


def _named(words: list[str]) -> bool:
    """Whether a command line names a method, or a recipe, which has one."""
    return any(_value_after(option, words) for option in ("--method", "--recipe"))


def _value_after(option: str, words: list[str]) -> str | None:
    """The value of an option in a command line, `--option VALUE` or `--option=VALUE`."""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def message_of(error: Exception) -> str:
    """The one-line message of a user's mistake."""
    if isinstance(error, cyclopts.UnknownCommandError) and error.unused_tokens and error.app is not None:
        word, known = error.unused_tokens[0], [name for name in error.app if not name.startswith("-")]
        return f"unknown command {word!r}{nearest(word, known)}; `likewise --help` lists all commands"
    command = " ".join(getattr(error, "command_chain", None) or ())
    if isinstance(error, cyclopts.UnknownOptionError):
        names = {name for argument in error.argument_collection if argument.parse for name in argument.names}
        known = [name[2:].replace("-", "_") for name in sorted(names) if name.startswith("--")]
        error = UnknownOption(error.token.keyword or error.token.value, known, command=command)
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
        words = ", ".join(map(repr, error.unused_tokens))
        return f"{command} has no use for {words}: put a text of several words in quotes, or leave it out"
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        argument = error.argument
        shown = argument.field_info.name.upper() if argument.index is not None else argument.name
        needs = f"{command} needs {shown}" if argument.required else f"{shown} needs a value"
        return f"{needs}: {(argument.parameter.help or '').partition(';')[0].rstrip('.')}"
    return error.on_command_line() if isinstance(error, UnknownOption) else str(error)
