"""Scans and images of other channels, as a user trains on them and uses the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import likewise as lw
from likewise.cli import main
from likewise.data.open import open_source

QUICK = "--epochs 1 --batch-size 8 --size 16 --precision 32-true --encoder resnet8".split()

pytestmark = pytest.mark.usefixtures("working_folder")


def save_scans(folder: Path, *, top: int = 4095) -> None:
    """Two classes of 12-bit pictures in 16-bit files: bars and blocks in noise."""
    rng = np.random.default_rng(0)
    for name, rows in (("bar", slice(4, 8)), ("block", slice(2, 14))):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, top // 4, (16, 16)).astype(np.uint16)
            pixels[rows, 2 + i % 4 : 10] = top
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def test_a_run_reads_later_scans_with_the_range_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    save_scans(Path("scans"))
    save_scans(Path("darker"), top=1500)
    assert main(["pretrain", "scans", "--out", "run", *QUICK]) == 0
    assert "values from 0 to 4095: grey levels 0 to 255 are 0 to 4095" in capsys.readouterr().err
    run = lw.open_run("run")
    assert run.read_options.range == (0, 4095)
    assert run.views.mean != (0.5,)
    assert run.views.mean == pytest.approx(
        (open_source("scans").read(torch.arange(24)).float().mean().item() / 255,), abs=1e-6
    )

    assert main(["embed", "run", "darker", "--out", "v.parquet"]) == 0
    vectors = np.stack(pq.read_table("v.parquet")["vector"].to_pylist())
    ids = pq.read_table("v.parquet")["id"].to_pylist()
    by_hand = np.stack([np.asarray(Image.open(Path("darker") / name)) for name in ids])
    np.testing.assert_allclose(vectors, run.encode(by_hand), atol=1e-5)
    np.testing.assert_allclose(vectors, run.encode([Path("darker") / name for name in ids]), atol=1e-5)
    as_bytes = np.floor(by_hand / 4095 * 255 + 0.5).astype(np.uint8)
    np.testing.assert_allclose(vectors, run.encode(as_bytes), atol=1e-5)
    assert main(["evaluate", "run", "--train", "darker:train", "--test", "darker:test", *"--seeds 1".split(),
                 *"--labels-per-class 2 --protocols frozen".split()]) == 0  # fmt: skip


def test_a_range_is_given_by_its_two_ends_and_can_be_negative(capsys: pytest.CaptureFixture[str]) -> None:
    save_scans(Path("scans"))
    assert main(["pretrain", "--range", "-1000", "5000.5", "scans", "--out", "run", *QUICK]) == 0
    run = lw.open_run("run")
    assert run.read_options.range == (-1000, 5000.5)
    assert "--range -1000.0 5000.5" in run.config["command"]
    assert main([*run.config["command"].split()[1:], "--resume"]) == 0
    assert main(["pretrain", "scans", "--range", "9", "1"]) == 2
    assert "range must be two numbers, the lower one first, got 9 1" in capsys.readouterr().err


def test_a_range_for_images_of_bytes_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    for i in range(4):
        Image.new("RGB", (16, 16), (i, 0, 0)).save(f"photos/{i}.png")
    for words in ("pretrain photos --range 0 4095", "views photos --range 0 4095"):
        assert main(words.split()) == 2
        assert "--range applies to images of more than 8 bits, those of photos have 8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "dtype", ["uint16", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("uint8", "float32"))]
)
def test_a_study_of_an_array_of_five_channels(dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 80, (40, 16, 16, 5)) + 100 * labels[:, None, None, None] * (np.arange(5) == 3)
    images = images * (1 if dtype == "uint8" else 16)
    np.savez("bands.npz", x=images.astype(dtype), y=labels)
    words = "study bands.npz --channels 5 --augment photo --out run --seeds 1 --labels-per-class 4 --steps 4 --json"
    assert main([*words.split(), *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]
    run = lw.open_run("run")
    assert run.views.channels == 5
    assert run.views.mean[3] > 1.5 * max(run.views.mean[:3])  # the data's own: this one is brighter
    assert [op.name for op in run.views.ops][:2] == ["crop", "horizontal-flip"]
    assert main("views bands.npz --out v.png".split()) == 0
    assert Image.open("v.png").mode == "RGB"


def test_grey_photographs_can_ask_for_the_augmentation_of_photographs() -> None:
    save_scans(Path("scans"))
    assert main(["pretrain", "scans", "--augment", "photo-mild", "--out", "run", *QUICK]) == 0
    assert [op.name for op in lw.open_run("run").views.ops] == ["crop", "horizontal-flip", "color-jitter"]
