"""Methods with a memory bank, a queue or a momentum encoder learn: more than the same encoder untrained knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from few_labels import accuracy

import likewise as lw

# Epochs, and the accuracy with 5 labels a class to gain on the untrained encoder's 0.80. Measured when this was written
# (bf16): 0.89, 0.89, 0.90 and, with 30 epochs, 0.92; with each query's key exchanged for another sample's, MoCo v2 has
# 0.83 and NNCLR 0.78.
METHODS = {"moco-v2": (12, 0.05), "moco-v3": (12, 0.05), "nnclr": (12, 0.05), "instdisc": (24, 0.05)}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_it_learns_what_an_untrained_encoder_does_not_know(method: str, tmp_path: Path) -> None:
    epochs, gain = METHODS[method]
    run = lw.pretrain("digits", method=method, epochs=epochs, precision="32-true", out=tmp_path / "run", progress=False)
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + gain
