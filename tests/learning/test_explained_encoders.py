"""What trained encoders have learned is what `likewise explain` shows: a planted corner, and weights that matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import likewise as lw
from likewise.data.arrays import ArraySource

CORNER = 15  # of 4 x 4 cells


def cornered(copies: int, seed: int) -> ArraySource:
    """Ten digits, each many times, with a corner of a random colour that alone tells one sample from another."""
    digits = load_digits()
    first = [digits.images[digits.target == digit][0] for digit in range(10)]
    grey = (np.stack(first) * 255 / 16).astype(np.uint8).repeat(2, 1).repeat(2, 2)
    pixels = np.repeat(np.repeat(grey[:, None], 3, axis=1), copies, axis=0)
    colours = np.random.default_rng(seed).integers(0, 256, (len(pixels), 3, 1, 1), dtype=np.uint8)
    pixels[:, :, 12:, 12:] = colours
    return ArraySource(pixels, name="corners")


@pytest.mark.slow
def test_a_planted_corner_is_found_in_what_simclr_has_learned(tmp_path: Path) -> None:
    how: dict[str, Any] = {"augment": [{"noise": {"std": 0.1, "p": 1.0}}], "precision": "32-true", "progress": False}
    run = lw.pretrain(cornered(64, 0), encoder="resnet8", epochs=10, out=tmp_path / "run", **how)
    fresh = cornered(2, 1)
    hits = []
    for place in range(len(fresh)):
        said = lw.explain(run, str(place), data=fresh, by="occlusion", progress=False).to_json()
        hits.append(int(np.argmax(said["samples"][0]["maps"][0]["values"])) == CORNER)
    assert np.mean(hits) > 0.5  # measured 0.95 with each of three seeds, 0.0 of an untrained encoder; by chance 1/16
    [account] = lw.explain(run, data=cornered(12, 2), progress=False).to_json()["accounts"]
    assert account["shortcut"]["kind"] == "shortcut"
    assert any("the corners" in reason for reason in account["shortcut"]["reasons"])


@pytest.mark.slow
def test_maps_are_those_of_the_weights_and_true_to_the_encoder(tmp_path: Path) -> None:
    how: dict[str, Any] = {"precision": "32-true", "progress": False}
    run = lw.pretrain("digits:train", encoder="resnet8", epochs=10, out=tmp_path / "run", **how)
    correlations: dict[str, list[float]] = {"places": [], "occlusion": []}
    gains = []
    for place in range(12):
        said = lw.explain(run, str(place), str(place + 20), data="digits:test", progress=False).to_json()
        for found in (found for sample in said["samples"] for found in sample["maps"]):
            correlations[found["by"]].append(found["correlation_with_untrained"])
            if found["by"] == "occlusion":
                gains.append(found["curves"]["gain"])
    # Of pairs of one class, over three seeds: at most 0.31 by places and 0.58 by occlusion, a gain of 0.08 or more.
    # Equal weights give a correlation of 1.
    assert np.mean(correlations["places"]) < 0.6
    assert np.mean(correlations["occlusion"]) < 0.85
    assert np.mean(gains) > 0.03
