"""`likewise evaluate`, `study`, `fit` and `predict` with --task detection, as they are typed, from each format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faster_coco_eval
import pytest

import likewise as lw
import small_scenes as scenes
from likewise.evaluation import detection
from typed_commands import answered, refused

TASK = ("--task", "detection")
SMALL = ("--labelled", 1, 4, "--seeds", 1, "--steps", 2)
FEW = ("--protocols", "frozen", "scratch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes/train and scenes/test, and a run on the images of the first."""
    folder = tmp_path_factory.mktemp("detection")
    scenes.as_coco(folder / "scenes" / "train", range(8), kind="boxes")
    scenes.as_coco(folder / "scenes" / "test", range(10, 14), kind="boxes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        how: dict[str, Any] = {"encoder": "resnet8", "epochs": 1, "batch_size": 4, "precision": "32-true"}
        lw.pretrain(folder / "scenes" / "train", size=24, out=folder / "run", progress=False, **how)
    return folder


def test_the_run_s_own_scenes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = answered(capsys, "evaluate", made / "run", *TASK, *SMALL, *FEW)
    assert said["samples"] == {"train": 8, "test": 4}
    assert said["detection"]["labelled"] == [1, 4]
    assert said["detection"]["classes"] == ["red", "blue"]
    assert said["detection"]["boxes"] == 8
    assert {"ap", "ap50", "ap75", "ar", "by_class", "errors"} <= said["detection"]["trials"][0].keys()
    assert said["command"].endswith("--task detection --labelled 1 4 --seeds 1 --protocols frozen scratch --steps 2")
    answered(capsys, "report", made / "run")
    page = (made / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Detection</h2>" in page
    assert "Detection in test with 4 annotated images" in page
    assert page.count("sheet-detection-0-1") > 3


FORMATS: dict[str, Callable[[Path, range], Path]] = {
    "csv": scenes.as_table,
    "voc": scenes.as_voc,
    "yolo": scenes.as_yolo,
    "parquet": partial(scenes.as_parquet, kind="sizes"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_fifth_is_held_out(kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = FORMATS[kind](tmp_path / kind, range(20, 30))
    if kind == "csv":
        with (folder / "boxes.csv").open("a") as file:
            file.write("020.png,0.1,0.1,0.5,0.5,red\n020.png,90,1,99,9,red\ngone.png,1,1,9,9,red\n")
    words = ("--train", folder, *TASK, *SMALL, "--protocols", "untrained")
    said = answered(capsys, "evaluate", made / "run", *words)
    assert said["samples"] == {"train": 8, "test": 2}
    assert set(said["detection"]["classes"]) == {"red", "blue"}
    assert "a fifth of the 10 annotated images is held out for the test" in said["notes"]
    if kind == "csv":
        listed = (made / "run" / "evaluation.skipped.csv").read_text()
        assert "box 0.1, 0.1, 0.5, 0.5 is in shares of the image, where pixels are expected" in listed
        assert "box 90, 1, 99, 9 outside the image of 48 x 32 pixels" in listed
        assert "no image gone.png" in listed


@pytest.mark.parametrize("protocol", ["frozen", pytest.param("fine-tuned", marks=pytest.mark.slow)])
def test_boxes_for_other_images(
    protocol: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is read by another program, beside the folder's own annotations and without any."""
    monkeypatch.setattr(detection, "STEPS", 60)
    finder, out = tmp_path / "finder", tmp_path / "boxes.json"
    how = ("--labels", made / "scenes" / "train", *TASK, "--protocol", protocol, "--out", finder)
    fitted = answered(capsys, "fit", made / "run", *how)
    assert (fitted["classes"], fitted["counts"]) == (["red", "blue"], [8, 8])
    assert ("fine_tuned" in fitted) == (protocol == "fine-tuned")
    said = answered(capsys, "predict", finder, made / "scenes" / "test", "--out", out)
    assert (said["rows"], said["skipped"], list(said["boxes"])) == (4, 0, ["red", "blue"])
    truth = faster_coco_eval.COCO(str(made / "scenes" / "test" / "annotations.json"))
    found = truth.loadRes(str(out))
    assert len(found.anns) == said["found"] >= sum(said["boxes"].values()) > 0
    assert set(found.getCatIds()) <= {10, 20}
    evaluation = faster_coco_eval.COCOeval_faster(truth, found, "bbox")
    evaluation.run()
    assert evaluation.stats[1] > 0.5  # AP50: 1.0 with three seeds; 0 where numbers of images or classes are wrong
    assert answered(capsys, "predict", finder, made / "scenes" / "test", "--out", out) == said

    scenes.images(tmp_path / "new" / "deep", range(30, 33))
    (tmp_path / "new" / "broken.png").write_bytes(b"no picture")
    said = answered(capsys, "predict", finder, tmp_path / "new", "--out", out)
    assert (said["rows"], said["skipped"]) == (3, 1)
    assert "broken.png" in (tmp_path / "boxes.skipped.csv").read_text()
    images = faster_coco_eval.COCO(said["images"])
    assert {each["file_name"] for each in images.imgs.values()} == {f"deep/{seed:03}.png" for seed in range(30, 33)}
    results = images.loadRes(str(out)).anns.values()
    assert all(0 <= each["bbox"][0] <= each["bbox"][0] + each["bbox"][2] <= scenes.WIDTH for each in results)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_study(kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a folder with parts to a page, in each format."""
    for part, seeds in (("train", range(8)), ("test", range(10, 14))):
        FORMATS[kind](tmp_path / "scenes" / part, seeds)
    out = tmp_path / "run"
    how = ("--encoder", "resnet8", "--size", 24, "--epochs", 1, "--batch-size", 4, "--precision", "32-true")
    said = answered(capsys, "study", tmp_path / "scenes", *TASK, *SMALL, *FEW, *how, "--out", out)
    assert said["samples"] == {"train": 8, "test": 4}
    assert lw.open_run(out).config["source"]["samples"] == 8
    assert "<h2>Detection</h2>" in (out / "report.html").read_text(encoding="utf-8")
    assert "notes" not in said


def test_what_is_refused(made: Path, digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, own = made / "run", made / "scenes" / "train"
    masks = scenes.as_masks(tmp_path / "masks", range(2))
    for words, why in (
        (("--labels-per-class", 1), "--labels-per-class has no effect with --task detection: give --labelled"),
        (("--train", own, "--labelled", 9), "labelled must be at most 8, or 'all', got 9: train has 8 annotated"),
        (("--train", own, "--test", own), "test on images that no box was learned from"),
        (("--train", masks), "has no boxes of its images; they are read from a JSON file of COCO's kind"),
        (("--protocols", "raw-logistic"), "protocols must, of detection, be some of scratch, frozen, fine-tuned"),
    ):
        assert why in refused(capsys, "evaluate", run, *TASK, *words)
    assert "name annotated images with --train" in refused(capsys, "evaluate", digits_run, *TASK)
    for words, why in (
        (("--labelled", 9), "labelled must be at most 8"),
        (("--protocols", "frozen-knn"), "protocols must, of detection"),
        (("--modality", "text"), "modality must be image"),
    ):
        assert why in refused(capsys, "study", made / "scenes", *TASK, *words, "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_what_detectors_are_not_for(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "STEPS", 1)
    finder, own = tmp_path / "finder", made / "scenes" / "train"
    answered(capsys, "fit", made / "run", "--labels", own, *TASK, "--out", finder)
    for words, why in (
        (("serve", finder), "predicts boxes, not labels"),
        (("fit", made / "run", "--labels", own, *TASK, "--balanced"), "--balanced has no effect with --task detection"),
        (("predict", finder, "digits", "--out", tmp_path / "x.json"), "data must be a folder of images where boxes"),
        (("predict", finder, own, "--out", tmp_path / "x"), "out must be a .json file where boxes are predicted"),
    ):
        assert why in refused(capsys, *words)
    info = json.loads((finder / "classifier.json").read_text())
    info["classes"], info["counts"] = ["red"], [8]
    (finder / "classifier.json").write_text(json.dumps(info))
    words = ("predict", finder, own, "--out", tmp_path / "x.json")
    assert "has the weights of another detector" in refused(capsys, *words)


def test_without_the_package(made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    words = ("--train", made / "scenes", *TASK)
    assert "pip install 'likewise[detection]'" in refused(capsys, "evaluate", made / "run", *words)
    assert "pip install 'likewise[detection]'" in refused(capsys, "study", made / "scenes", *TASK, "--epochs", 1)
