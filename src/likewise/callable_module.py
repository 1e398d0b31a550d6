"""`likewise.report` is a package, and `likewise.report(run)` is a function: both names are the right ones.

Importing a package's submodule always binds the package's name in its parent, so the function can't win.
Instead the package itself can be called, and calls the public function of its name.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A package that, called, calls the function of the same name in `likewise.api`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module("likewise.api"), self.__name__.rpartition(".")[2])(*args, **kwargs)
