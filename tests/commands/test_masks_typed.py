"""`likewise fit --task segmentation`, `predict` and `embed --places`, as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import likewise as lw
import small_scenes as scenes
from typed_commands import answered, refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    scenes.as_masks(folder / "scenes", range(8))
    scenes.images(folder / "new" / "deep", range(30, 33))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        how: dict[str, Any] = {"encoder": "resnet8", "epochs": 1, "batch_size": 4, "precision": "32-true"}
        lw.pretrain(folder / "scenes" / "images", size=24, out=folder / "run", progress=False, **how)
    return folder


@pytest.mark.parametrize("protocol", ["frozen", "frozen-decoder", "fine-tuned"])
def test_masks_for_other_images(
    protocol: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from likewise.evaluation import segmentation

    monkeypatch.setattr(segmentation, "STEPS", 60 if protocol == "frozen-decoder" else 4)
    words = (
        "--labels",
        made / "scenes",
        "--task",
        "segmentation",
        "--protocol",
        protocol,
        "--out",
        tmp_path / "masker",
    )
    fitted = answered(capsys, "fit", made / "run", *words)
    assert fitted["classes"] == scenes.CLASSES
    assert fitted["counts"] == [8, 8, 8]
    assert ("fine_tuned" in fitted) == (protocol == "fine-tuned")
    said = answered(capsys, "predict", tmp_path / "masker", made / "new", "--out", tmp_path / "masks")
    assert (said["rows"], said["skipped"], said["classes"]) == (3, 0, scenes.CLASSES)
    assert (tmp_path / "masks" / "classes.txt").read_text().split() == scenes.CLASSES
    right = []
    for seed in range(30, 33):
        with Image.open(tmp_path / "masks" / "deep" / f"{seed:03}.png") as mask:
            assert mask.mode == "P"
            found = np.asarray(mask)
        assert found.shape == (scenes.HEIGHT, scenes.WIDTH)
        right.append((found == scenes.scene(seed).mask).mean())
    assert np.mean(right) > 0.85  # always the background: 0.75 at most
    again = answered(capsys, "predict", tmp_path / "masker", made / "new", "--out", tmp_path / "masks")
    assert again == said


@pytest.mark.slow
def test_masks_that_were_predicted_are_masks(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = ("--labels", made / "scenes", "--task", "segmentation", "--out", tmp_path / "masker")
    answered(capsys, "fit", made / "run", *how)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "images").symlink_to(made / "new" / "deep")
    (made / "new" / "deep" / "broken.png").write_bytes(b"no picture")
    said = answered(
        capsys, "predict", tmp_path / "masker", tmp_path / "more" / "images", "--out", tmp_path / "more" / "masks"
    )
    (made / "new" / "deep" / "broken.png").unlink()
    assert (said["rows"], said["skipped"]) == (3, 1)
    assert "broken.png" in (tmp_path / "more" / "masks" / "skipped.csv").read_text()
    (tmp_path / "more" / "masks" / "classes.txt").rename(tmp_path / "more" / "classes.txt")
    again = answered(capsys, "fit", made / "run", *how[:1], tmp_path / "more", *how[2:])
    assert again["labels"]["samples"] == 3


def test_what_masks_are_not_for(
    made: Path, digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masker = tmp_path / "masker"
    how = ("--labels", made / "scenes", "--task", "segmentation")
    answered(capsys, "fit", made / "run", *how, "--out", masker)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("")
    for words, why in (
        (("serve", masker), "predicts masks, not labels"),
        (("fit", made / "run", "--labels", made / "scenes", "--protocol", "frozen-decoder"), "--task segmentation"),
        (("fit", made / "run", *how, "--coverage", 0.9), "--coverage has no effect with --task segmentation"),
        (("predict", masker, "digits", "--out", tmp_path / "x"), "data must be a folder of images"),
        (("predict", masker, made / "new", "--out", made / "new"), "out must be another folder"),
        (("predict", masker, made / "new", "--out", tmp_path / "full"), "holds something else"),
        (("fit", made / "run", "--labels", made / "new", "--task", "segmentation"), "has no masks of its images"),
    ):
        assert why in refused(capsys, *words)


def test_features_of_places(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = made / "scenes" / "images"
    said = answered(capsys, "embed", made / "run", images, "--places", "--out", tmp_path / "p.npy", "--batch-size", 3)
    found = np.load(tmp_path / "p.npy")
    assert found.shape == (8, 4, 256)
    assert (said["rows"], said["dim"]) == (8, 256)
    run = lw.open_run(made / "run")
    from likewise.data.open import open_source

    source = open_source(images, read_options=run.read_options, progress=False)
    with torch.inference_mode():
        features = run.encoder.features(run.views.clean(source.read(torch.arange(8))))
    np.testing.assert_allclose(found, features.numpy(), atol=1e-4)
    assert (tmp_path / "p.ids.txt").read_text().splitlines() == list(source.ids)
    for words, why in (
        (("--out", "p.parquet"), "ends in .npy, got p.parquet"),
        (("--out", "lance://p"), "ends in .npy, got none"),
    ):
        assert why in refused(capsys, "embed", made / "run", images, "--places", *words)
