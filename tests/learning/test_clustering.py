"""Methods that predict assignments really learn: on digits their features beat those of the same encoder untrained."""

from __future__ import annotations

from pathlib import Path

import pytest

import likewise as lw


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))


def accuracy(run: lw.Run, way: str) -> float:
    result = lw.evaluate(run, labels_per_class=(5,), seeds=3, ways=(way,), progress=False)
    return result["summary"][0]["mean"]


# 5 labels a class, beside 0.80 untrained, measured when this was written: swav 0.90, deepcluster 0.91, dino 0.83, which
# is slower. With the targets of other samples swav gave 0.74 and deepcluster 0.78, and the loss stayed at chance.
@pytest.mark.parametrize(("method", "margin"), [("swav", 0.05), ("deepcluster", 0.05), ("dino", 0.01)])
def test_it_learns_what_an_untrained_encoder_does_not_know(method: str, margin: float, tmp_path: Path) -> None:
    run = lw.pretrain(
        "digits",
        method=method,
        recipe=method,
        epochs=8,
        precision="32-true",
        out=tmp_path / "run",
        progress=False,
    )
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + margin
    last = run.metrics()[-1]
    assert last["loss"] < run.chance["loss"] - 0.2
    assert last["code_entropy"] > 0.8
