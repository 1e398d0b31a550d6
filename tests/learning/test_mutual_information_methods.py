"""Deep InfoMax and CPC really learn: what they are asked is answered far better than by chance, and features gain."""

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


def test_deep_infomax_learns_what_an_untrained_encoder_does_not_know(tmp_path: Path) -> None:
    run = lw.pretrain(
        "digits", method="dim", recipe="dim", epochs=8, precision="32-true", out=tmp_path / "run", progress=False
    )
    # 5 labels a class: measured 0.894 and 0.801 when this was written.
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + 0.04
    assert run.metrics()[-1]["local"] < run.chance["local"] - 0.5


def test_cpc_learns_what_an_untrained_encoder_does_not_know(tmp_path: Path) -> None:
    run = lw.pretrain(
        "digits", method="cpc", recipe="cpc", epochs=8, precision="32-true", out=tmp_path / "run", progress=False
    )
    # 5 labels a class: measured 0.843 and 0.801 when this was written.
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + 0.015
    assert run.metrics()[-1]["loss"] < run.chance["loss"] - 1
