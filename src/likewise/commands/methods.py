"""`likewise methods`: every method, or one."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from likewise.console import as_text, plain

if TYPE_CHECKING:
    from likewise.commands.hyperparameters import Hyperparameter
    from likewise.training.recipe import Recipe


@dataclass(frozen=True)
class MethodSummary:
    """A method in a line."""

    name: str
    family: str
    modality: str
    paper: str
    """`arXiv:` and its number."""
    when_to_use: str

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(MethodSummary)}


@dataclass(frozen=True)
class MethodDetails(MethodSummary):
    """A method with its recipe, and its own options with the recipe's values as defaults."""

    recipe: Recipe
    options: list[Hyperparameter]

    def to_json(self) -> dict[str, Any]:
        options = [option.to_json() for option in self.options]
        return super().to_json() | {"recipe": self.recipe.to_dict(), "options": options}

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        head = f"[bold]{self.name}[/bold]: {self.family}, for {self.modality} data, {self.paper}"
        values = Table("recipe", "value", box=None, header_style="bold")
        for name, value in self.recipe.to_dict().items():
            if name not in ("method", "options") and value is not None:
                values.add_row(name, plain(value))
        options = Table("option", "default", "type", "help", box=None, header_style="bold")
        for option in self.options:
            options.add_row(option.name, plain(option.default), plain(option.type), plain(option.help))
        use = f"likewise pretrain DATA --method {self.name}"
        return Group(head, plain(f"When to use it: {self.when_to_use}"), "", values, "", options, "", use)

    def __str__(self) -> str:
        return as_text(self)


class Methods(list[MethodSummary]):
    """All methods, in the order in which they are listed."""

    def to_json(self) -> dict[str, Any]:
        return {"methods": [method.to_json() for method in self]}

    def __rich__(self) -> Any:
        from rich.table import Column, Table

        head = [Column(name, no_wrap=True) for name in ("name", "modality", "paper")]
        table = Table(*head, "when to use it", box=None, header_style="bold")
        # A line for a family leaves room for words in a terminal of 80 columns.
        for family, its_methods in itertools.groupby(self, lambda method: method.family):
            table.add_row(f"[bold]{family}[/bold]")
            for method in its_methods:
                table.add_row(f"  {method.name}", method.modality, method.paper, method.when_to_use)
        return table

    def __str__(self) -> str:
        return as_text(self)


def list_methods(name: str | None = None) -> Methods | MethodDetails:
    """List every method, or describe one: its recipe, its options with defaults and help, and when to use it.

    Args:
        name: a method, such as moco-v2; all methods if not given.

    Returns:
        For every method its name, family, modality, paper (arXiv id) and when to use it; for one also its recipe and
        options.

    Raises:
        UserError: for an unknown name, with the nearest known one.
    """
    from likewise.commands.hyperparameters import default_recipe, method_hyperparameters
    from likewise.methods import METHODS, method_class

    def summary(name: str) -> MethodSummary:
        cls = method_class(name)
        return MethodSummary(name, cls.family, cls.modality, f"arXiv:{cls.paper}", cls.when_to_use)

    if name is None:
        return Methods(map(summary, METHODS))
    described, recipe = summary(name), default_recipe(name)
    return MethodDetails(**described.to_json(), recipe=recipe, options=method_hyperparameters(recipe))
