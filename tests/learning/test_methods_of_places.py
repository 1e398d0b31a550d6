"""Methods that learn where things are: on digits, their embeddings and those of places beat the untrained encoder's."""

from __future__ import annotations

from pathlib import Path

import pytest
from few_labels import accuracy

import likewise as lw


@pytest.mark.slow
@pytest.mark.parametrize(("method", "gain"), [("densecl", 0.05), ("vicregl", 0.05)])
def test_it_learns_what_an_untrained_encoder_does_not_know(method: str, gain: float, tmp_path: Path) -> None:
    run = lw.pretrain("digits", method=method, epochs=12, precision="32-true", out=tmp_path / "run", progress=False)
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + gain
