"""likewise learns from unlabelled data.

import likewise as lw
run = lw.pretrain("photos/", method="simclr")
table = lw.evaluate(run, train="labelled/", test="heldout/")
vectors = lw.embed(run, "photos/").vectors
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likewise.commands.clean import clean
    from likewise.commands.compare import compare
    from likewise.commands.demo import demo
    from likewise.commands.distill import distill
    from likewise.commands.embed import embed
    from likewise.commands.evaluate import evaluate
    from likewise.commands.explain import explain
    from likewise.commands.explore import explore
    from likewise.commands.export import export
    from likewise.commands.fit import fit
    from likewise.commands.generate import generate
    from likewise.commands.methods import list_methods
    from likewise.commands.pack import pack
    from likewise.commands.predict import predict
    from likewise.commands.pretrain import pretrain
    from likewise.commands.report import write_report
    from likewise.commands.rl import rl
    from likewise.commands.search import search
    from likewise.commands.serve import serve
    from likewise.commands.study import study
    from likewise.commands.suggest import suggest
    from likewise.commands.tune import tune
    from likewise.commands.views import show_views
    from likewise.errors import UserError
    from likewise.modalities.run import Run, open_run

__version__ = version("likewise")

_HOMES = {
    "Run": "likewise.modalities.run",
    "UserError": "likewise.errors",
    "clean": "likewise.commands.clean",
    "compare": "likewise.commands.compare",
    "demo": "likewise.commands.demo",
    "distill": "likewise.commands.distill",
    "embed": "likewise.commands.embed",
    "evaluate": "likewise.commands.evaluate",
    "fit": "likewise.commands.fit",
    "explain": "likewise.commands.explain",
    "explore": "likewise.commands.explore",
    "export": "likewise.commands.export",
    "generate": "likewise.commands.generate",
    "list_methods": "likewise.commands.methods",
    "open_run": "likewise.modalities.run",
    "pack": "likewise.commands.pack",
    "predict": "likewise.commands.predict",
    "pretrain": "likewise.commands.pretrain",
    "rl": "likewise.commands.rl",
    "search": "likewise.commands.search",
    "serve": "likewise.commands.serve",
    "show_views": "likewise.commands.views",
    "study": "likewise.commands.study",
    "suggest": "likewise.commands.suggest",
    "tune": "likewise.commands.tune",
    "write_report": "likewise.commands.report",
}

__all__ = [
    "Run",
    "UserError",
    "clean",
    "compare",
    "demo",
    "distill",
    "embed",
    "evaluate",
    "explain",
    "explore",
    "export",
    "fit",
    "generate",
    "list_methods",
    "open_run",
    "pack",
    "predict",
    "pretrain",
    "rl",
    "search",
    "serve",
    "show_views",
    "study",
    "suggest",
    "tune",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `import likewise` loads no torch."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'likewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
