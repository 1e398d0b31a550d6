"""`likewise fit --protocol fine-tuned`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import likewise as lw
from likewise.cli import main
from likewise.data.open import open_source
from likewise.evaluation.fine_tuned_head import class_weights
from likewise.modalities.encoder_digest import encoder_digest
from small_files import table
from typed_commands import answered, refused

EACH = 6  # labels of a class


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Some of the digits with their labels, by their ids."""
    source = open_source("digits:train")
    counts: dict[int, int] = {}
    rows = []
    for id, label in zip(source.ids, source.labels().tolist(), strict=True):
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= EACH:
            rows.append((str(id), source.classes[label]))
    return table(tmp_path / "labels.csv", ["id", "label"], rows)


def fitted(capsys: pytest.CaptureFixture[str], run: Path, labels: Path, *more: object) -> dict[str, Any]:
    return answered(capsys, "fit", run, "digits:train", "--labels", labels, "--protocol", "fine-tuned", *more)


def test_the_encoder_learns_with_the_head(digits_run: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = encoder_digest(lw.open_run(digits_run))
    found = fitted(capsys, digits_run, labels, "--out", "tuned", "--coverage", 0.8)
    assert found["fine_tuned"]["steps"] == 78  # half of 20·√60
    assert found["cross_validation"]["folds"] == found["fine_tuned"]["folds"] == 3
    assert found["cross_validation"]["samples"] == 60
    assert 0 < found["threshold"] < 1
    assert "--protocol fine-tuned" in found["command"]
    names = ["classifier.json", "encoder.safetensors", "head.safetensors"]
    assert sorted(path.name for path in Path("tuned").iterdir()) == names
    assert encoder_digest(lw.open_run(digits_run)) == before
    own, its = (load_file(path / "encoder.safetensors") for path in (Path("tuned"), digits_run))
    assert own.keys() == its.keys()
    assert not all(torch.equal(own[name], its[name]) for name in own)

    assert main(["fit", str(digits_run), "digits:train", "--labels", str(labels), "--out", "frozen"]) == 0
    assert "fine-tuned" not in capsys.readouterr().out
    assert "fine_tuned" not in json.loads(Path("frozen/classifier.json").read_text())
    accuracies = {}
    for name in ("tuned", "frozen"):
        predicted = answered(capsys, "predict", name, "digits:test", "--out", f"{name}.csv")
        accuracies[name] = predicted["measured"]["accuracy"]["mean"]
    assert accuracies["tuned"] > 0.5  # chance is 0.1; of 60 labels and one epoch, the frozen head makes more (0.81)
    assert Path("tuned.csv").read_bytes() != Path("frozen.csv").read_bytes()
    assert found["cross_validation"]["accuracy"]["mean"] == pytest.approx(accuracies["tuned"], abs=0.25)

    # The head without its encoder is worth little: predict uses both.
    (Path("tuned") / "encoder.safetensors").write_bytes((digits_run / "encoder.safetensors").read_bytes())
    message = refused(capsys, "predict", "tuned", "digits:test", "--out", "p.csv")
    assert message == (
        "tuned/encoder.safetensors is not the one that classifier.json was written with: fit the classifier again"
    )
    (Path("tuned") / "encoder.safetensors").unlink()
    message = refused(capsys, "predict", "tuned", "digits:test", "--out", "p.csv")
    assert message.startswith("tuned/encoder.safetensors can't be read: ")
    assert message.endswith(": fit the classifier again")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(digits_run: Path, labels: Path) -> None:
    how: dict[str, Any] = {"labels": labels, "protocol": "fine-tuned", "balanced": True, "progress": False}
    for out in ("a", "b"):
        lw.fit(digits_run, "digits:train", out=out, seed=3, **how)
    for name in ("encoder.safetensors", "head.safetensors"):
        assert Path(f"a/{name}").read_bytes() == Path(f"b/{name}").read_bytes()
    lw.fit(digits_run, "digits:train", out="a", labels=labels, progress=False)
    assert not Path("a/encoder.safetensors").exists()  # the frozen head that replaces it stands on the run's


def test_what_cannot_be_fine_tuned(
    digits_run: Path, labels: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ids = [line.split(",")[0] for line in labels.read_text().splitlines()[1:]]
    several = table(
        tmp_path / "several.csv", ["id", "label"], [(id, "a;b" if i % 2 else "a") for i, id in enumerate(ids)]
    )
    asked = ("fit", digits_run, "digits:train", "--protocol", "fine-tuned", "--out", "c", "--no-progress", "--labels")
    message = refused(capsys, *asked, several)
    assert message == (
        f"--protocol fine-tuned applies to one class a sample, the labels of {several} are multilabel: leave it out"
    )
    assert not Path("c").exists()
    assert "frozen" in refused(capsys, "fit", digits_run, "--labels", labels, "--protocol", "tuned")


def test_a_classifier_is_no_run(digits_run: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lw.fit(digits_run, "digits:train", labels=labels, out="c", progress=False)
    message = refused(capsys, "export", "c", "--to", "onnx", "--out", "o")
    assert message.startswith("c is a classifier, not a run: name the run that it stands on")


def test_weights_of_classes() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    weights = class_weights(labels, 3)
    assert weights[labels].mean() == pytest.approx(1)
    assert 3 * weights[0] == pytest.approx(float(weights[2]))
