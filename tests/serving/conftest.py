"""Runs to serve, of each modality, and the files they have learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.modalities.run import Run
from small_data import sentences
from small_files import by_colour, captioned, lines, notes

HOW: dict[str, Any] = {"epochs": 1, "batch_size": 16, "precision": "32-true", "progress": False}


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a cache of its own."""
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


def pretrained(folder: Path, name: str, data: Any, **recipe: Any) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        return lw.pretrain(data, out=folder / name, **HOW | recipe)


@pytest.fixture(scope="session")
def images_run(served_folder: Path) -> Run:
    """On squares, in `colours`, a subfolder for each colour; beside it a classifier and all embeddings."""
    data = by_colour(served_folder / "colours", 48, seed=0)
    run = pretrained(served_folder, "images", data, encoder="resnet8", epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(served_folder / "cache"))
        classifier = lw.fit(run, labels=data, out=served_folder / "classifier", progress=False)
        table = lw.predict(classifier, data, progress=False).table or []
        classifier.info["threshold"] = float(np.median([row["probability"] for row in table]))  # half of them abstain
        classifier.save()
        lw.embed(run, data, out=served_folder / "vectors.parquet", progress=False)
    return run


@pytest.fixture(scope="session")
def texts_run(served_folder: Path) -> Run:
    data = lines(served_folder / "texts.txt", sentences(40))
    return pretrained(served_folder, "texts-run", data, method="simcse", max_tokens=16, vocab_size=150)


@pytest.fixture(scope="session")
def recordings_run(served_folder: Path) -> Run:
    data = notes(served_folder / "recordings", 24)
    return pretrained(served_folder, "recordings-run", data, method="cola", seconds=0.3)


@pytest.fixture(scope="session")
def pairs_run(served_folder: Path) -> Run:
    data = captioned(served_folder / "pairs", 32)
    how: dict[str, Any] = {"method": "clip", "encoder": "resnet8+bert-tiny", "max_tokens": 16, "vocab_size": 100}
    return pretrained(served_folder, "pairs-run", data, modality="pair", **how)
