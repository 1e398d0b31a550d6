"""Outputs of likewise in a data folder are no data, whatever they are called; people are told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import likewise as lw
from likewise.cli import main
from likewise.data.open import open_source
from likewise.report.story import story_png

QUICK = "--epochs 1 --batch-size 8 --precision 32-true --encoder resnet8".split()


@pytest.fixture
def photos(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of grey images, which one works in."""
    folder = working_folder / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8)).save(folder / f"{i:02}.png")
    monkeypatch.chdir(folder)
    return folder


def test_everything_that_is_written_into_the_data_is_left_out(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["views", "."]) == 0
    shutil.copy("views.png", "00-first.png")
    assert main(["pretrain", ".", *QUICK]) == 0
    (run,) = Path("runs").iterdir()
    assert main(["report", str(run)]) == 0
    story_png(run, Path("deep/story.png"))
    assert main(["embed", str(run), ".", "--out", "v.npy"]) == 0
    capsys.readouterr()

    source = open_source(".")
    assert source.ids == [f"{i:02}.png" for i in range(12)]
    assert source.read(torch.arange(1)).shape == (1, 1, 12, 12)  # a picture of ours has colours
    own = ["00-first.png", "deep/story.png", f"{run}/", "v.ids.txt", "v.npy", "views.png"]
    assert source.skipped == [(name, "made by likewise") for name in own]

    assert main(["pretrain", ".", "--out", "../again", *QUICK]) == 0
    err = capsys.readouterr().err
    assert f"left out, as likewise made them: 00-first.png, deep/story.png, {run}/, v.ids.txt, v.npy and 1 more" in err
    assert "could not be read" not in err
    assert lw.open_run("../again").skipped == source.skipped


def test_files_of_others_with_such_names_are_data(photos: Path) -> None:
    picture = Image.open("03.png")
    info = PngInfo()
    info.add_text("Software", "gimp")
    picture.save("views.png", pnginfo=info)
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/config.json").write_text(json.dumps({"model": "other"}))
    Path("runs/mine/metrics.csv").write_text("step")
    picture.save("runs/mine/04.png")
    ids = open_source(".").ids
    assert "views.png" in ids
    assert "runs/mine/04.png" in ids


def test_a_picture_of_ours_that_is_named_is_data(photos: Path) -> None:
    """Only what is found in a folder is left out: a query of `search` may be one."""
    assert main(["views", "."]) == 0
    assert main(["pretrain", ".", "--out", "../run", *QUICK]) == 0
    assert main("search ../run . --image views.png --top 2".split()) == 0


def test_ids_beside_vectors_are_no_texts(photos: Path) -> None:
    folder = photos.parent / "texts"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"text {i}")
    np.save(folder / "v.npy", np.zeros(3))
    (folder / "v.ids.txt").write_text("0\n1\n2\n")
    (folder / "w.ids.txt").write_text("a text of its own")
    source = open_source(folder, modality="text", progress=False)
    assert source.ids == ["0.txt", "1.txt", "2.txt", "w.ids.txt"]
    assert ("v.ids.txt", "made by likewise") in source.skipped
