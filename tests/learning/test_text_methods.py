"""Methods on texts really learn: on what the docstrings of installed packages say, whichever package they are of."""

from __future__ import annotations

import ast
import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest
from few_labels import accuracy

import likewise as lw

PACKAGES = ("scipy", "sklearn", "sympy", "networkx")  # torch and scikit-learn bring them
DOCUMENTS, LEAST, MOST = 500, 12, 40  # of a package; words of a document


def docstrings(package: str) -> list[str]:
    """Of functions and classes, from files in a random order; nothing is imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    paths = sorted(path for path in root.rglob("*.py") if "tests" not in path.parts)
    random.Random(0).shuffle(paths)
    found: dict[str, None] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                words = (ast.get_docstring(node) or "").split()
                if len(words) >= LEAST:
                    found.setdefault(" ".join(words[:MOST]))
        if len(found) >= DOCUMENTS:
            break
    return list(found)[:DOCUMENTS]


@pytest.fixture(scope="module")
def corpus() -> tuple[list[str], list[str]]:
    """Documents and the packages they are of, mixed."""
    pairs = [(document, package) for package in PACKAGES for document in docstrings(package)]
    random.Random(0).shuffle(pairs)
    return [document for document, _ in pairs], [package for _, package in pairs]


def trained(corpus: tuple[list[str], list[str]], folder: Path, method: str, **options: Any) -> lw.Run:
    usual: dict[str, Any] = {"vocabulary": 1000, "tokens": 32, "precision": "32-true", "progress": False}
    return lw.pretrain(corpus[0], method=method, out=folder / "run", **(usual | options))


def worth(run: lw.Run, corpus: tuple[list[str], list[str]]) -> dict[str, float]:
    """Accuracy with 5 labels a package, of the run's encoder and of an untrained one."""
    cut = len(corpus[0]) * 2 // 3
    halves = {
        "train": tuple(column[:cut] for column in corpus),
        "test": tuple(column[cut:] for column in corpus),
    }
    return {way: accuracy(run, way, **halves) for way in ("frozen", "untrained")}


def test_simcse_learns_what_an_untrained_encoder_does_not_know(
    corpus: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    run = trained(corpus, tmp_path, "simcse", epochs=6, rate=2e-3)
    found = worth(run, corpus)
    print(found, run.metrics()[-1])
    assert found["frozen"] > found["untrained"] + 0.03
    assert run.metrics()[-1]["loss"] < run.chance["loss"] - 2
