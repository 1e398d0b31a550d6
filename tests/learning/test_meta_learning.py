"""Methods that learn from episodes classify digits that they never saw better than an untrained encoder does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import likewise as lw

EPISODES = 100


def accuracies(method: str, folder: Path, **options: Any) -> dict[tuple[str, str], float]:
    """5-way 1-shot accuracies on five new digits, by classifier and features."""
    run = lw.pretrain("digits:base", method=method, precision="32-true", out=folder / "run", progress=False, **options)
    found = lw.evaluate(
        run, protocols=("few-shot",), shot=(1,), episodes=EPISODES, test="digits:novel", progress=False
    )["few_shot"]["summary"]
    return {(row["classifier"], row["features"]): row["mean"] for row in found}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "epochs"), [("protonet", 10)])
def test_new_classes_by_the_nearest_mean(method: str, epochs: int, tmp_path: Path) -> None:
    found = accuracies(method, tmp_path, epochs=epochs)
    assert found["nearest centroid", "Frozen encoder"] > found["nearest centroid", "Untrained encoder"] + 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "epochs"), [("maml", 10), ("fomaml", 10), ("reptile", 10), ("contrastive-maml", 10)]
)
def test_new_classes_by_a_few_steps(method: str, epochs: int, tmp_path: Path) -> None:
    found = accuracies(method, tmp_path, epochs=epochs)
    assert found["adapted", "Adapted encoder"] > found["adapted", "Untrained encoder"] + 0.05
