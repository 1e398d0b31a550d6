"""Every command, from data to page, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import likewise as lw
from likewise.cli import main

QUICK = ["--epochs", "1", "--precision", "32-true", "--encoder", "resnet8"]


pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Two classes, 24 pictures each, that differ in what they show."""
    rng = np.random.default_rng(0)
    for name, rows in (("bar", slice(4, 8)), ("block", slice(2, 14))):
        (tmp_path / "shapes" / name).mkdir(parents=True)
        for i in range(24):
            pixels = rng.integers(0, 40, (16, 16, 3), dtype=np.uint8)
            pixels[rows, 2 + i % 4 : 10] = 220
            Image.fromarray(pixels).save(tmp_path / "shapes" / name / f"{i}.png")
    return tmp_path / "shapes"


def test_a_study_of_a_folder(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "study shapes --labels-per-class 1 all --seeds 2 --steps 4 --batch-size 16 --out run --json"
    assert main([*words.split(), *QUICK]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["samples"] == {"train": 38, "test": 10}
    assert {row["protocol"] for row in result["summary"]} >= {"scratch", "frozen", "fine-tuned", "untrained"}
    assert result == json.loads(Path("run/evaluation.json").read_text())
    assert "the page: run/report.html" in err

    run = lw.open_run("run")
    assert run.config["data"] == f"{shapes}:train"
    assert run.config["command"].startswith("likewise pretrain shapes:train ")
    page = Path("run/report.html").read_text()
    for name in ("bar", "block", "likewise evaluate run", "confusion"):
        assert name in page
    with np.load("run/gallery.npz") as gallery:
        assert gallery["labels"].tolist() == [0] * 5 + [1] * 5
        assert gallery["embeddings"].shape == (10, 256)
    with np.load("run/snapshots.npz") as snapshots:
        assert snapshots["steps"].tolist() == [0, 1, 2]
        assert snapshots["similarity"].shape == (3, 16, 16)

    assert main(["evaluate", "run", "--labels-per-class", "1", "--seeds", "1", "--protocols", "frozen"]) == 0
    assert "Frozen encoder" in capsys.readouterr().out


def test_the_commands_of_a_page_repeat_its_run(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    assert main(["pretrain", "shapes", "--batch-size", "16", "--temperature", "0.2", *QUICK, "--out", "run"]) == 0
    words = shlex.split(lw.open_run("run").config["command"])[1:]
    words[words.index("run")] = "again"
    assert main(words) == 0
    assert Path("again/encoder.safetensors").read_bytes() == Path("run/encoder.safetensors").read_bytes()
    options = lw.open_run("again").config["recipe"]["options"]
    assert options["temperature"] == 0.2
    assert options == lw.open_run("run").config["recipe"]["options"]


def test_a_study_without_labels_is_a_training_and_a_page(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = shapes / "bar"
    assert main(["study", str(flat), "--batch-size", "8", *QUICK, "--out", "run"]) == 0
    assert "has no labels to evaluate with: name some with --train and --test" in capsys.readouterr().err
    assert Path("run/report.html").exists()
    assert not Path("run/evaluation.json").exists()


def test_embeddings_in_both_kinds_of_file(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lw.pretrain("shapes", encoder="resnet8", epochs=1, batch_size=16, precision="32-true", out="run", progress=False)
    assert main(["embed", "run", "shapes", "--out", "x.parquet", "--batch-size", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": "x.parquet", "rows": 48, "dim": 256}
    assert main(["embed", "run", "shapes", "--out", "x.npy"]) == 0
    assert capsys.readouterr().out == "x.npy: 48 rows, 256 dimensions\n"
    table = pq.read_table("x.parquet")
    vectors = np.stack(table["vector"].to_pylist())
    np.testing.assert_allclose(vectors, np.load("x.npy"), atol=1e-4)
    assert table["id"].to_pylist()[:2] == ["bar/0.png", "bar/1.png"]
    assert table["label"].to_pylist() == ["bar"] * 24 + ["block"] * 24


def test_views_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "digits", "--out", "pictures/views.png"]) == 0
    assert capsys.readouterr().out == "pictures/views.png\n"
    picture = np.asarray(Image.open("pictures/views.png").convert("L"), dtype=float)
    assert picture.shape == (3 * 100 + 4, 8 * 100 + 4)
    first, second, plain = (picture[4 + 100 * row : 100 + 100 * row] for row in range(3))
    assert np.abs(first - second).mean() > 5
    assert main(["views", "digits", "--augment", "none", "--out", "none.png"]) == 0
    still = np.asarray(Image.open("none.png").convert("L"), dtype=float)
    np.testing.assert_array_equal(still[4:100], plain)


def test_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    assert "arXiv:2002.05709" in capsys.readouterr().out
    assert main(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["methods"]
    assert {"name", "family", "modality", "paper", "when_to_use"} == set(listed[0])


@pytest.mark.slow
def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seeds", "2"]) == 0
    out, err = capsys.readouterr()
    assert "fine-tuned" in out
    assert "runs/demo/report.html" in err


def stl10(root: Path, *, train: int, test: int, unlabeled: int) -> None:
    """Files of STL-10's real format: uint8, 3x96x96, each channel column by column; labels from 1."""
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    classes = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(classes) + "\n")
    for name, count in (("train", train), ("test", test), ("unlabeled", unlabeled)):
        labels = np.arange(count, dtype=np.uint8) % 10 + 1
        images = rng.integers(0, 60, (count, 3, 96, 96), dtype=np.uint8)
        images[np.arange(count), labels % 3, :, :] += labels[:, None, None] * 15
        images.tofile(folder / f"{name}_X.bin")
        if name != "unlabeled":
            labels.tofile(folder / f"{name}_y.bin")
    folds = [" ".join(map(str, rng.choice(train, train // 2, replace=False))) for _ in range(10)]
    (folder / "fold_indices.txt").write_text("\n".join(folds) + "\n")


@pytest.mark.slow
def test_stl10_by_the_published_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stl10(tmp_path / "data", train=20, test=20, unlabeled=32)
    words = "study stl10 --recipe stl10-simclr --epochs 1 --batch-size 16 --labels-per-class 1 2 --seeds 1"
    assert main([*words.split(), "--root", "data", "--out", "run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["train"], result["test"]) == ("stl10:train", "stl10:test")
    assert result["classes"][0] == "airplane"
    run = lw.open_run("run")
    assert run.config["source"]["name"] == "stl10:unlabeled"
    assert run.config["source"]["samples"] == 32
    recipe = run.config["recipe"]
    assert (recipe["encoder"], recipe["optimizer"], recipe["lr"], recipe["weight_decay"]) == (
        "resnet18",
        "adam",
        1e-3,
        1e-4,
    )
    assert Path("run/report.html").exists()
