"""Numbers that are no sensible values end in one line, before anything is allocated or trained: no crash, no hang."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.cli import main
from likewise.commands.hyperparameters import default_recipe, method_hyperparameters, recipe_hyperparameters
from likewise.errors import UserError
from likewise.methods import METHODS

NEVER = (math.nan, math.inf, -math.inf, 10**30, -(10**30), 10**400)


def numeric(hint: Any) -> bool:
    return any(kind in str(hint) for kind in ("int", "float"))


@pytest.mark.parametrize("method", METHODS)
def test_no_option_of_a_method_is_infinite_or_larger_than_any_index(method: str) -> None:
    recipe = default_recipe(method)
    options = [each.name for each in method_hyperparameters(recipe) if numeric(each.hint)]
    for name in options:
        for value in NEVER:
            with pytest.raises(UserError, match=f"^{name} must be"):
                recipe.with_(**{name: value})


@pytest.mark.parametrize("field", [each.name for each in recipe_hyperparameters(default_recipe("simclr"))])
def test_no_number_of_a_recipe_is_infinite(field: str) -> None:
    recipe = default_recipe("simclr")
    hints = {each.name: each.hint for each in recipe_hyperparameters(recipe)}
    if not numeric(hints[field]):
        return
    for value in (math.nan, math.inf, -math.inf, -(10**30)):
        with pytest.raises(UserError, match=f"^{field} must be"):
            recipe.with_(**{field: value})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        pixels = np.random.default_rng(0).integers(0, 256, (32, 8, 8), dtype=np.uint8)
        np.savez(folder / "a.npz", x_train=pixels, y_train=np.arange(32) % 2, x_test=pixels, y_test=np.arange(32) % 2)
        how: dict[str, Any] = {"epochs": 1, "batch_size": 8, "precision": "32-true", "progress": False}
        lw.pretrain(folder / "a.npz:train", encoder="resnet8", out=folder / "run", **how)
    return folder


VALUES = ("0", "-1", "nan", "inf", "1e308", "1" + "0" * 30, "-1" + "0" * 30, "1" + "0" * 400, "")
COMMANDS = {
    "evaluate RUN/run --protocols raw-knn --labels-per-class 1": ("seeds", "steps"),
    "evaluate RUN/run --protocols raw-knn --seeds 1": ("labels-per-class",),
    "embed RUN/run RUN/a.npz:test --out RUN/x.npy": ("batch-size",),
    "fit RUN/run --labels RUN/a.npz:test --out RUN/c": ("coverage", "accuracy", "seed", "batch-size"),
    "suggest RUN/run RUN/a.npz:test": ("budget", "seed", "batch-size"),
    "explore RUN/run nowhere --no-progress": ("port", "batch-size"),
    "search RUN/run RUN/a.npz:test --image RUN/none.png": ("top",),
    "tune RUN/a.npz --over lr=1:2 --out RUN/t": ("trials", "workers"),
    "views RUN/a.npz:test --out RUN/x.png": ("size", "channels", "seed"),
    "pretrain RUN/a.npz:train --out RUN/other --batch-size 8": (
        *("epochs", "batch-size", "size", "channels", "vocab-size", "max-tokens", "sample-rate", "seconds", "lr"),
        *("devices", "checkpoint-minutes", "warmup-epochs", "freeze-epochs", "weight-decay", "momentum", "seed"),
    ),
}
POSSIBLE = {("seed", "0"), ("warmup-epochs", "0"), ("freeze-epochs", "0"), ("weight-decay", "0"), ("momentum", "0")}
POSSIBLE |= {("weight-decay", "1e308"), ("lr", "1e308"), ("checkpoint-minutes", "inf"), ("checkpoint-minutes", "1e308")}
POSSIBLE |= {(name, "1" + "0" * 30) for name in ("lr", "weight-decay", "checkpoint-minutes")}
POSSIBLE |= {("checkpoint-minutes", "1" + "0" * 400)}


@pytest.mark.parametrize(("words", "option"), [(words, name) for words, names in COMMANDS.items() for name in names])
def test_a_number_that_is_typed_wrong_ends_in_one_line(
    words: str, option: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKEWISE_CACHE", str(run / "cache"))
    for value in VALUES:
        if (option, value) in POSSIBLE:
            continue
        status = main([*words.replace("RUN", str(run)).split(), f"--{option}={value}"])
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("likewise: ")]
        assert (status, len(said)) == (2, 1), (value, said)
        assert "Traceback" not in said[0]
        assert len(said[0]) < 2000
