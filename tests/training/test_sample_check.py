"""No verdict says that a training learns where its data has nothing to learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import likewise as lw


def images_of(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    digits = (load_digits().images[:64] / 16 * 255).astype(np.uint8).repeat(2, 1).repeat(2, 2)
    return {
        "equal": np.repeat(digits[:1], 64, 0),
        "black": np.zeros_like(digits),
        "repeated": np.tile(digits[:4], (16, 1, 1)),
        "noise": rng.integers(0, 256, digits.shape, dtype=np.uint8),
        "digits": digits,
    }[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("equal", "All samples are equal"),
        ("black", "The samples are blank"),
        ("repeated", "of 64 samples only 4 are different"),
        ("noise", "The images are noise"),
        ("digits", ""),
    ],
)
def test_a_verdict_names_what_is_the_matter_with_the_data(kind: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images_of(kind)):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    how = {"encoder": "resnet8", "epochs": 12, "batch_size": 16, "precision": "32-true", "progress": False}
    lw.pretrain(folder, method="simclr", out=tmp_path / "run", seed=0, **how)
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert said in verdict["message"]
    assert (verdict["kind"] == "trivial") == bool(said)
    assert not (said and "is learning" in verdict["message"])
