"""`likewise evaluate` and `study` with --task segmentation, as they are typed, from folders in each format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import likewise as lw
import small_scenes as scenes
from typed_commands import answered, refused

TASK = ("--task", "segmentation")
SMALL = ("--labelled", 1, 4, "--seeds", 1, "--steps", 2)
FEW = ("--protocols", "frozen", "frozen-decoder", "scratch", "untrained")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes/train and scenes/test, and a run on the images of the first."""
    folder = tmp_path_factory.mktemp("segmentation")
    scenes.as_masks(folder / "scenes" / "train", range(8))
    scenes.as_masks(folder / "scenes" / "test", range(10, 14))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        how = {"encoder": "resnet8", "epochs": 1, "batch_size": 4, "precision": "32-true", "progress": False}
        lw.pretrain(folder / "scenes" / "train" / "images", size=24, out=folder / "run", **how)
    return folder


def test_the_run_s_own_scenes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = answered(capsys, "evaluate", made / "run", *TASK, *SMALL, *FEW)
    assert said["samples"] == {"train": 8, "test": 4}
    assert said["segmentation"]["labelled"] == [1, 4]
    assert said["segmentation"]["protocols"] == ["frozen", "frozen-decoder", "scratch", "untrained"]
    assert "notes" not in said  # the test images were not learned from
    assert said["command"].endswith(
        "--task segmentation --labelled 1 4 --seeds 1 --protocols frozen frozen-decoder scratch untrained --steps 2"
    )
    again = answered(capsys, "evaluate", made / "run", *TASK, *SMALL, *FEW)
    assert again["segmentation"]["summary"] == said["segmentation"]["summary"]
    answered(capsys, "report", made / "run")
    page = (made / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Segmentation</h2>" in page
    assert "Segmentation of test with 4 annotated images" in page
    assert "Decoder on the frozen encoder" in page
    assert "Objects found in test without any annotation" in page
    assert page.count("sheet-segmentation-0-1") > 4


FORMATS: dict[str, Callable[[Path, range], Path]] = {
    "coco": scenes.as_coco,
    "runs": partial(scenes.as_coco, kind="text"),
    "yolo": partial(scenes.as_yolo, outlines=True),
    "parquet": scenes.as_parquet,
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_fifth_is_held_out(kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = FORMATS[kind](tmp_path / kind, range(20, 30))
    said = answered(
        capsys, "evaluate", made / "run", "--train", folder, *TASK, *SMALL, "--protocols", "frozen-knn", "raw-logistic"
    )
    assert said["samples"] == {"train": 8, "test": 2}
    assert said["segmentation"]["classes"] == ["background", "red", "blue"]
    assert "a fifth of the 10 annotated images is held out for the test" in said["notes"]


def test_what_was_left_out_is_listed(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scenes.as_masks(tmp_path / "scenes", range(20, 30))
    (folder / "masks" / "020.png").write_bytes(b"no picture")
    answered(capsys, "evaluate", made / "run", "--train", folder, *TASK, *SMALL, "--protocols", "raw-logistic")
    listed = (made / "run" / "evaluation.skipped.csv").read_text()
    assert "020.png" in listed
    assert "not an image of a known type" in listed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masks", "parquet"])
def test_study(kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a folder with parts to a page; the masks are no images to learn from."""
    out, folder = tmp_path / "run", made / "scenes"
    if kind == "parquet":
        folder = tmp_path / "rows"
        for name, seeds in (("train-0", range(4)), ("train-1", range(4, 8)), ("validation-0", range(10, 14))):
            scenes.as_parquet(folder / "data", seeds, name=f"{name}.parquet")
    how = ("--encoder", "resnet8", "--size", 24, "--epochs", 1, "--batch-size", 4, "--precision", "32-true")
    said = answered(capsys, "study", folder, *TASK, *SMALL, *FEW, *how, "--out", out)
    assert said["samples"] == {"train": 8, "test": 4}
    assert lw.open_run(out).config["source"]["samples"] == 8
    assert "<h2>Segmentation</h2>" in (out / "report.html").read_text(encoding="utf-8")
    assert "notes" not in said


def test_what_is_refused(made: Path, digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, own = made / "run", made / "scenes" / "train"
    for words, why in (
        (("--labels-per-class", 1), "--labels-per-class has no effect with --task segmentation: give --labelled"),
        (("--minutes", 1), "--minutes has no effect"),
        (("--labelled", 9), "labelled must be at most 8, or 'all', got 9: train has 8 annotated images to learn from"),
        (("--train", own, "--test", own), "train and test are both"),
        (("--test", own), "--test needs --train"),
        (("--train", made / "scenes" / "train" / "images"), "has no masks of its images"),
        (("--protocols", "raw-knn"), "protocols must, of segmentation, be some of"),
    ):
        assert why in refused(capsys, "evaluate", run, *TASK, *words)
    assert "name annotated images with --train" in refused(capsys, "evaluate", digits_run, *TASK)
    assert "--labelled applies to recordings with --transcripts and to --task" in refused(
        capsys, "evaluate", run, "--labelled", 1
    )
    for words, why in (
        (("--transcripts", "a.csv"), "--transcripts has no effect with --task segmentation"),
        (("--labelled", 9), "labelled must be at most 8"),
        (("--modality", "text"), "modality must be image"),
    ):
        assert why in refused(capsys, "study", made / "scenes", *TASK, *words, "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
