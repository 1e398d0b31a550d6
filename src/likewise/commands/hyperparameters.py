"""What `**hyperparameters` stands for: the fields of a recipe and the options of a method, with defaults and help."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, NamedTuple, get_type_hints

from likewise.methods import method_class, method_options
from likewise.training.recipe import Recipe, load_recipe, recipe_names


class Hyperparameter(NamedTuple):
    """One value that a recipe or a method takes."""

    name: str
    hint: Any
    default: Any
    help: str

    @property
    def type(self) -> str:
        return self.hint.__name__ if isinstance(self.hint, type) else str(self.hint)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "default": self.default, "help": self.help}


def default_recipe(method: str) -> Recipe:
    """The recipe that a method is trained by when no other is named."""
    return load_recipe(method) if method in recipe_names() else Recipe(method=method)


def recipe_hyperparameters(recipe: Recipe) -> list[Hyperparameter]:
    """The fields of a recipe, with this recipe's values as defaults."""
    help_texts, types = arguments(Recipe.__doc__), get_type_hints(Recipe)
    return [
        Hyperparameter(f.name, types[f.name], getattr(recipe, f.name), help_texts[f.name])
        for f in dataclasses.fields(Recipe)
        if f.name != "options"
    ]


def method_hyperparameters(recipe: Recipe) -> list[Hyperparameter]:
    """The options of a recipe's method, with this recipe's values as defaults."""
    cls = method_class(recipe.method)
    types = get_type_hints(cls.__init__)
    help_texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):  # a class says only what it adds to the one that it is built on
        help_texts |= arguments(base.__dict__.get("__doc__"))
    defaults = method_options(recipe.method) | recipe.options
    return [Hyperparameter(name, types[name], default, help_texts[name]) for name, default in defaults.items()]


def arguments(docstring: str | None) -> dict[str, str]:
    """What the `Args:` or `Attributes:` of a docstring say, by name; `a, b: text` counts for both."""
    found: dict[str, str] = {}
    inside = False
    names: list[str] = []
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (begin := re.match(r" {4}(\w+(?:, \w+)*): (.*)", line)):
            names = begin[1].split(", ")
            found |= dict.fromkeys(names, begin[2])
        elif inside and line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
