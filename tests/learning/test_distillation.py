"""A student really learns what its teacher knows: on digits, few labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from few_labels import accuracy

import likewise as lw
from likewise.methods import distill

TRAINING: dict[str, Any] = {"encoder": "resnet8", "precision": "32-true", "progress": False}
GAIN = 0.05


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        return lw.pretrain("digits", method="vicreg", epochs=10, out=folder / "run", **TRAINING).path


def student(teacher: Path, folder: Path) -> lw.Run:
    options = {"method": "distill", "teacher": str(teacher), "epochs": 8, "seed": 1}
    return lw.pretrain("digits", out=folder / "student", **options, **TRAINING)


@pytest.mark.slow
def test_a_student_learns_what_an_untrained_encoder_does_not_know(teacher: Path, tmp_path: Path) -> None:
    run = student(teacher, tmp_path)
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + GAIN
    assert run.verdict is not None
    assert run.verdict.kind == "learning"


@pytest.mark.slow
def test_embeddings_of_other_samples_teach_little(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the gain is the objective's: with the targets of other samples it is not there."""

    def rolled(embeddings: torch.Tensor) -> torch.Tensor:
        return standardized(embeddings).roll(1, 0)

    standardized = distill.standardized
    monkeypatch.setattr(distill, "standardized", rolled)
    run = student(teacher, tmp_path)
    assert accuracy(run, "frozen") < accuracy(run, "untrained") + GAIN
