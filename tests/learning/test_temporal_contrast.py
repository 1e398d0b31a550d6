"""From films whose frames change while their subject stays, ATC learns the subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from few_labels import accuracy

import likewise as lw
from likewise.data.open import open_source

FILM = 12  # frames


def films(count: int) -> np.ndarray:
    """Each shows other samples of one digit, one after the other."""
    digits = open_source("digits:train")
    labels, random = digits.labels().numpy(), np.random.default_rng(0)
    shown = [random.choice(np.flatnonzero(labels == n % 10), FILM) for n in random.permutation(count)]
    return digits.pixels[np.concatenate(shown)]


@pytest.mark.slow
def test_it_learns_what_lasts(tmp_path: Path) -> None:
    how = {"encoder": "resnet8", "epochs": 20, "delta": 1, "precision": "32-true", "progress": False}
    run = lw.pretrain(films(200), method="atc", out=tmp_path / "run", **how)
    assert run.verdict is not None
    assert run.verdict.kind == "learning"
    labelled = {"train": "digits:train", "test": "digits:test"}
    # Five labels a class; three seeds: 0.975, 0.974 and 0.967, untrained 0.801.
    assert accuracy(run, "frozen", **labelled) > accuracy(run, "untrained", **labelled) + 0.1
