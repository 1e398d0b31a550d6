"""Copies of test samples in the training data are named; `study` parts no copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import likewise as lw
from likewise.cli import main
from typed_commands import answered

pytestmark = pytest.mark.usefixtures("working_folder")
QUICK = "--epochs 1 --batch-size 16 --precision 32-true --encoder resnet8 --size 32 --out run --no-progress".split()
EVALUATED = "--labels-per-class 2 --seeds 1 --protocols raw-knn".split()


def photos(folder: Path, count: int, seed: int) -> Path:
    """Pictures of soft shapes in a subfolder for each of two classes."""
    random = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
            coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / name / f"{i:02d}.png")
    return folder


def test_copies_of_test_samples_are_named_on_screen_page_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    train, test = photos(Path("train"), 20, seed=0), photos(Path("test"), 10, seed=1)
    shutil.copy(train / "cat/03.png", test / "cat/equal.png")
    shutil.copy(train / "cat/04.png", test / "dog/wrong.png")
    Image.open(train / "dog/05.png").resize((50, 50)).save(test / "dog/near.jpg", quality=90)
    assert main(["pretrain", "train", *QUICK]) == 0
    said = (
        "3 of 23 samples of test are copies of samples of train: 2 equal, 1 nearly equal, 1 with another label "
        "(dog/wrong.png and cat/04.png (dog and cat), cat/equal.png and cat/03.png, dog/near.jpg and dog/05.png). "
        "They say nothing about new samples."
    )
    words = ["evaluate", "run", "--train", "train", "--test", "test", *EVALUATED]
    result = answered(capsys, *words)
    assert said in result["notes"]
    copies = result["copies"]
    assert (copies["exact"], copies["near"], copies["other_labels"]) == (2, 1, 1)
    assert {"test": "dog/near.jpg", "train": "dog/05.png", "exact": False, "labels": None} in copies["found"]
    assert main(words) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in Path(lw.write_report("run")).read_text(encoding="utf-8")


def test_a_study_parts_no_copies(capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos(Path("photos"), 20, seed=0)
    for name in ("cat", "dog"):
        for i in range(20):
            original = folder / name / f"{i:02d}.png"
            if i % 2:
                shutil.copy(original, folder / name / f"copy{i:02d}.png")
            else:
                Image.open(original).save(folder / name / f"copy{i:02d}.jpg", quality=90)
    assert main(["study", "photos", *[w for w in QUICK if w != "--no-progress"], *EVALUATED]) == 0
    err = capsys.readouterr().err
    assert "80 samples are equal or nearly equal to others, in 40 groups: each group is on one side of the split" in err
    assert "copies" not in lw.open_run("run").evaluation
