"""Data that is partly labelled, and folders of splits in other spellings, as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from likewise.cli import main
from typed_commands import answered

pytestmark = pytest.mark.usefixtures("working_folder")
QUICK = "--epochs 1 --batch-size 16 --precision 32-true --encoder resnet8 --out run --no-progress".split()


def test_samples_without_labels(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 3), dtype=np.uint8)
    labels = np.where(np.arange(40) < 9, np.arange(40) % 3, -1)
    np.savez("semi.npz", x_train=pixels[:40], y_train=labels, x_test=pixels[40:], y_test=np.arange(20) % 3)
    assert main(["pretrain", "semi.npz:train", *QUICK[:-1]]) == 0
    err = capsys.readouterr().err
    assert "labels: 9 of 40 images" in err
    assert "each epoch leaves out 8 of 40 samples: they fill no batch" in err
    words = "--train semi.npz:train --test semi.npz:test --labels-per-class 2 all --seeds 1 --protocols raw-knn".split()
    result = answered(capsys, "evaluate", "run", *words)
    assert result["classes"] == ["0", "1", "2"]
    assert result["samples"] == {"train": 9, "test": 20}
    assert "labels of semi:train: 9 of 40 samples; the others are left out." in result["notes"]
    assert main("embed run semi.npz:train --out vectors.parquet".split()) == 0
    assert pq.read_table("vectors.parquet")["label"].to_pylist()[6:11] == ["0", "1", "2", None, None]


def test_splits_in_other_spellings_are_no_classes(capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("Training", "Testing"):
        for name in ("glioma", "pituitary"):
            Path("tumor", split, name).mkdir(parents=True)
            for i in range(12):
                Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(Path("tumor", split, name, f"{i}.png"))
    assert main(["pretrain", "tumor:train", *QUICK[:-1]]) == 0
    assert "tumor has splits: train is Training/, test is Testing/" in capsys.readouterr().err
    words = "--labels-per-class 2 --seeds 1 --protocols raw-knn".split()
    result = answered(capsys, "evaluate", "run", *words)
    assert (result["train"], result["test"], result["classes"]) == (
        "tumor:train",
        "tumor:test",
        ["glioma", "pituitary"],
    )
    assert main("embed run tumor --out vectors.parquet".split()) == 0
    assert set(pq.read_table("vectors.parquet")["label"].to_pylist()) == {"glioma", "pituitary"}
