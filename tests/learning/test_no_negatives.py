"""Methods without negatives, and those whose loss compares in another way, really learn: on digits, few labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from few_labels import accuracy

import likewise as lw

# 5 labels a class: what was measured when this was written, beside 0.80 of the untrained encoder, and what has to be
# gained. With targets of other samples BYOL gave 0.70 and SimSiam 0.75, and without its Gaussian LeJEPA 0.72.
LEARNERS = [
    pytest.param("byol", {}, 0.02, id="byol 0.85", marks=pytest.mark.slow),
    pytest.param("simsiam", {}, 0.01, id="simsiam 0.83", marks=pytest.mark.slow),
    pytest.param("barlow-twins", {}, 0.05, id="barlow-twins 0.90", marks=pytest.mark.slow),
    pytest.param("vicreg", {}, 0.08, id="vicreg 0.94", marks=pytest.mark.slow),
    pytest.param("lejepa", {}, 0.08, id="lejepa 0.93", marks=pytest.mark.slow),
    pytest.param("siamese", {}, 0.06, id="siamese 0.91", marks=pytest.mark.slow),
    pytest.param("simclr", {"loss": "sup-con"}, 0.12, id="simclr with labels 0.98", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("method", "options", "gain"), LEARNERS)
def test_it_learns_what_an_untrained_encoder_does_not_know(
    method: str, options: dict[str, Any], gain: float, tmp_path: Path
) -> None:
    run = lw.pretrain(
        "digits", method=method, epochs=12, precision="32-true", out=tmp_path / "run", progress=False, **options
    )
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + gain
