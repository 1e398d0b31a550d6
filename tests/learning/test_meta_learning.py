"""Methods that learn from episodes get better at them, and at digits that they never saw."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import likewise as lw

HOW: dict[str, Any] = {"precision": "32-true", "encoder": "resnet8", "progress": False}


@pytest.mark.slow
def test_new_classes_by_the_nearest_mean(tmp_path: Path) -> None:
    run = lw.pretrain("digits:base", method="protonet", epochs=10, out=tmp_path / "run", **HOW)
    found = lw.evaluate(run, protocols=("few-shot",), test="digits:novel", shot=(1,), episodes=60, progress=False)
    accuracy = {
        row["features"]: row["mean"] for row in found["few_shot"]["summary"] if row["classifier"] == "nearest centroid"
    }
    # 5-way, 1-shot, measured with three seeds: 0.66, 0.71 and 0.70, of 0.59.
    assert accuracy["Frozen encoder"] > accuracy["Untrained encoder"] + 0.03


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "gain"), [("maml", 0.2), ("fomaml", 0.2), ("reptile", 0.06), ("contrastive-maml", 0.06)]
)
def test_adaptation_gets_better(method: str, gain: float, tmp_path: Path) -> None:
    small = {"way": 3, "shot": 3 if method == "reptile" else 1, "query": 3, "inner_steps": 2, "batch_size": 48}
    run = lw.pretrain("digits:base", method=method, epochs=3, out=tmp_path / "run", **small, **HOW)
    accuracy = run.history.column("accuracy")
    # 3-way after two inner steps, in 39 steps, with three seeds: maml 0.49-0.59 to 0.91-0.94, fomaml 0.48-0.56 to
    # 0.89-0.95, reptile 0.49-0.53 to 0.66-0.71, contrastive-maml without labels 0.52-0.60 to 0.72-0.73: the least
    # gains are 0.34, 0.37, 0.12 and 0.12.
    assert fmean(accuracy[-10:]) > fmean(accuracy[:5]) + gain
    assert run.history.column("loss")[-1] < run.history.column("loss")[0]
