"""likewise learns from data that nobody has labelled.

import likewise as lw
run = lw.pretrain("photos/", method="simclr")
table = lw.evaluate(run, train="labelled/", test="heldout/")
vectors = lw.embed(run, "photos/", out="vectors.parquet")
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likewise.api import (
        demo,
        embed,
        evaluate,
        generate,
        methods,
        open_run,
        pretrain,
        report,
        search,
        show_views,
        study,
    )
    from likewise.errors import UserError
    from likewise.run import Run

__version__ = version("likewise")

_HOMES = {
    **dict.fromkeys(
        ("demo", "embed", "evaluate", "generate", "open_run", "pretrain", "search", "show_views", "study"),
        "likewise.api",
    ),
    "UserError": "likewise.errors",
    "Run": "likewise.run",
}

_PACKAGES = ("methods", "report")  # packages that are functions too: see callable_module

__all__ = [
    "Run",
    "UserError",
    "demo",
    "embed",
    "evaluate",
    "generate",
    "methods",
    "open_run",
    "pretrain",
    "report",
    "search",
    "show_views",
    "study",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `import likewise` loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return import_module(f"likewise.{name}")
    raise AttributeError(f"module 'likewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
