"""A modality that the package does not have: curves, from Python and from the command line.

From Python it takes a source, views and an encoder. For the commands it takes a `Modality` beside them, and one line in
the registry, which a fixture writes here.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import likewise as lw
from likewise import registry
from likewise.cli import main
from likewise.data.files import by_subfolder, folder_of, scan
from likewise.data.request import Request
from likewise.data.source import Source
from likewise.modalities.base import Modality, TrainingSetup
from typed_commands import answered

POINTS = 48


class Curves(Source):
    """Curves of 48 points, labelled with what they are made of."""

    modality = "curve"

    def __init__(self, name: str, values: Tensor, classes: list[str], labels: Tensor) -> None:
        self.name, self.values, self.classes, self._labels = name, values, classes, labels

    def __len__(self) -> int:
        return len(self.values)

    def read(self, indices: Tensor) -> Tensor:
        return self.values[indices]

    def labels(self) -> Tensor:
        return self._labels


class CurveViews:
    """A view of a curve begins anywhere in it, and is noisy."""

    modality = "curve"

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        begin = torch.randint(POINTS, (len(batch), 1), generator=generator)
        moved = batch.gather(1, (begin + torch.arange(POINTS)) % POINTS)
        return moved + 0.3 * torch.randn(batch.shape, generator=generator)

    weak = __call__

    def clean(self, batch: Tensor) -> Tensor:
        return batch


def curve_encoder() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 16, 9), nn.ReLU(), nn.Conv1d(16, 32, 9, 2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 16),
    )  # fmt: skip


class CurveModality(Modality):
    """Folders of .curve files: 48 numbers, white space between them."""

    name, nouns, suffixes, accepts = "curve", ("curve", "curves"), (".curve",), "a folder of curves"

    def open_source(self, request: Request) -> Curves | None:
        asked = folder_of(request)
        files, _ = scan(asked[0], self.suffixes) if asked else ([], [])
        if asked is None or not files:
            return None
        folder, name = asked
        values = torch.stack([torch.from_numpy(np.loadtxt(folder / file.id, dtype=np.float32)) for file in files])
        return Curves(name, values, *by_subfolder(folder, [file.id for file in files], "curves"))

    def setup(self, source: Source, recipe: Any, *, accelerated: bool, run_folder: Path | None = None) -> TrainingSetup:
        resolved = dataclasses.replace(recipe, encoder="convolutions", batch_size=recipe.batch_size or 64)
        return TrainingSetup(resolved, source, CurveViews(), self.encoder)

    def pack(self, views: CurveViews) -> tuple[dict[str, Any], dict[str, str]]:
        return {}, {}

    def unpack(self, config: dict[str, Any], folder: Path) -> CurveViews:
        return CurveViews()

    def encoder(self, **config: Any) -> nn.Module:
        module = curve_encoder()
        module.config = config
        return module


def sines(name: str, count: int, seed: int) -> Curves:
    """One to four waves, of any phase and height."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    phase, height = torch.rand(2, count, 1, generator=generator)
    angle = torch.arange(POINTS) / POINTS * (labels[:, None] + 1) + phase
    values = (0.5 + height) * torch.sin(2 * torch.pi * angle)
    return Curves(name, values, [f"{waves} waves" for waves in (1, 2, 3, 4)], labels)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(registry.MODALITIES, "curve", f"{__name__}:CurveModality")


def test_own_samples_are_trained_on_evaluated_and_embedded_from_python(tmp_path: Path) -> None:
    torch.manual_seed(0)  # of the encoders
    views, many, some = CurveViews(), sines("curves", 512, seed=0), sines("more curves", 200, seed=1)
    run = lw.pretrain(
        many, method="simclr", views=views, encoder=curve_encoder(), epochs=12, precision="32-true",
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert run.config["source"]["modality"] == "curve"
    evaluation = lw.evaluate(
        run, train=many, test=some, encoder=curve_encoder(), make_encoder=curve_encoder, views=views,
        labels_per_class=[3], seeds=3, protocols=("frozen", "untrained", "raw-logistic"), progress=False,
    )  # fmt: skip
    accuracy = {row["protocol"]: row["mean"] for row in evaluation["summary"]}
    assert accuracy["frozen"] > accuracy["untrained"] + 0.1
    assert accuracy["frozen"] > accuracy["raw-logistic"] + 0.1
    embedded = lw.embed(run, some, out=tmp_path / "v.npy", encoder=curve_encoder(), views=views, progress=False)
    assert (embedded.rows, embedded.dim) == np.load(tmp_path / "v.npy").shape == (200, 16)
    page = lw.write_report(run).read_text(encoding="utf-8")
    assert "200 samples of more curves" in page


def test_a_modality_that_is_not_registered_must_bring_views_and_encoder(tmp_path: Path) -> None:
    with pytest.raises(lw.UserError, match="modality 'curve' has no views and encoders of its own: pass views="):
        lw.pretrain(sines("curves", 64, seed=0), out=tmp_path / "run", progress=False)


@pytest.fixture
def folder(working_folder: Path) -> Path:
    """Curves in files, of four classes."""
    curves = sines("curves", 320, seed=0)
    for i, label in enumerate(curves.labels().tolist()):
        path = working_folder / "curves" / curves.classes[label] / f"{i}.curve"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(path, curves.values[i].numpy())
    return working_folder / "curves"


@pytest.mark.usefixtures("registered", "folder")
def test_every_command_takes_what_one_module_and_one_line_bring(capsys: pytest.CaptureFixture[str]) -> None:
    training = ("--epochs", 15, "--precision", "32-true", "--out", "run", "--no-progress")
    run = answered(capsys, "pretrain", "curves:train", *training)
    assert (run["source"]["modality"], run["source"]["samples"]) == ("curve", 256)
    assert run["recipe"]["batch_size"] == 64
    few = ("--labels-per-class", 3, "--seeds", 3, "--no-progress")
    evaluation = answered(capsys, "evaluate", "run", *few, "--protocols", "frozen", "untrained", "raw-logistic")
    assert evaluation["test"] == "curves:test"
    accuracy = {row["protocol"]: row["mean"] for row in evaluation["summary"]}
    assert accuracy["frozen"] > accuracy["untrained"] + 0.1
    assert accuracy["frozen"] > accuracy["raw-logistic"] + 0.1
    embedded = answered(capsys, "embed", "run", "curves", "--out", "v.npy", "--no-progress")
    assert (embedded["rows"], embedded["dim"]) == np.load("v.npy").shape == (320, 16)
    page = Path(answered(capsys, "report", "run")["out"]).read_text(encoding="utf-8")
    assert "64 samples of curves:test" in page


@pytest.mark.usefixtures("registered", "working_folder")
def test_messages_name_a_new_modality_among_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    for words, line in {
        "pretrain empty": "empty holds no images, recordings, texts or curves: it has 0 other files",
        "pretrain empty --modality curve": "empty holds no curves: it has 0 other files, and the types read are .curve",
        "pretrain empty --modality curv": "modality must be image, audio, pair, text or curve, got 'curv'",
    }.items():
        assert main(words.split()) == 2
        assert line in capsys.readouterr().err
