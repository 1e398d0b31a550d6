"""With extreme values of any option a command works or is refused in one line: no crash, no hang, no huge memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from extreme_options import OF_RECIPES, VALUES

from likewise.commands.hyperparameters import default_recipe, recipe_hyperparameters
from likewise.methods import METHODS, method_options

SECONDS = 1700
WITH_OPTIONS = [name for name in METHODS if method_options(name) or name in OF_RECIPES]
WITH_OPTIONS.remove("distill")  # it learns from a run
SWEPT = WITH_OPTIONS if os.environ.get("LIKEWISE_EXTREMES") == "all" else ["pirl", "relative-position"]
"""All methods take hours: `LIKEWISE_EXTREMES=all` asks for them."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("method", SWEPT)
def test_extreme_options(method: str, tmp_path: Path) -> None:
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), *sys.path]
    done = subprocess.run(
        [sys.executable, here / "extreme_options.py", tmp_path, method],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"died: {done.stderr[-2000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["finds"] == []
    options = len(method_options(method))
    if method in OF_RECIPES:
        options += len(recipe_hyperparameters(default_recipe(method))) - 1 + 5  # of views
    assert sum(found["ends"].values()) == options * len(VALUES)
    assert found["ends"]["refused"] > 3 * options
