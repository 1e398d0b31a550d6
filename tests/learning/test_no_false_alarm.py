"""No healthy training is said to be broken, at the end of any of its epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

import likewise as lw
from likewise.methods import METHODS, method_class
from likewise.training.verdict import diagnose
from small_data import training_data

EPOCHS = 12


def alarms(run: lw.Run, samples: int) -> list[str]:
    """What was wrong at the end of each epoch."""
    rows, steps = run.history.rows, samples // run.config["recipe"]["batch_size"]
    ends = range(steps, steps * run.config["recipe"]["epochs"] + 1, steps)
    verdicts = [diagnose([row for row in rows if row["step"] < end], run.chance, steps) for end in ends]
    return [str(verdict) for verdict in verdicts if verdict.alarm]


@pytest.mark.slow
def test_the_demo_recipe_and_the_defaults_of_simclr(tmp_path: Path) -> None:
    for recipe in ("digits-simclr", None):
        run = lw.pretrain("digits", recipe=recipe, epochs=EPOCHS, out=tmp_path / str(recipe), progress=False)
        assert alarms(run, 1297) == []
        assert run.verdict is not None
        assert run.verdict.kind == "learning"


# But for atc, which learns from films: see test_temporal_contrast.py.
OF_IMAGES = [n for n in METHODS if method_class(n).modality in ("any", "image") and n != "atc"]


@pytest.mark.slow
@pytest.mark.parametrize("method", OF_IMAGES)
def test_the_recipe_of_every_method(method: str, tmp_path: Path) -> None:
    data, options = training_data(method)
    run = lw.pretrain(data, method=method, epochs=EPOCHS, out=tmp_path / "run", progress=False, **options)
    assert alarms(run, 1297) == []
    assert run.verdict is not None
    assert run.verdict.kind == "learning"
