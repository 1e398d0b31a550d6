"""`likewise distill`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from rich.console import Console

import likewise as lw
from likewise.cli import main
from likewise.commands.distilled import alone_recipe
from likewise.data.open import open_source
from likewise.errors import Interrupted
from likewise.modalities.encoder_digest import encoder_digest
from likewise.training.recipe import load_recipe
from small_data import SAMPLE_RATE, digits_and_names, recordings, sentences
from small_files import lines
from typed_commands import answered, refused

QUICK = ("--epochs", 1, "--precision", "32-true", "--no-progress")
QUICKLY: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False}


def test_a_student_beside_the_others(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = encoder_digest(lw.open_run(digits_run))
    counted = ("--labels-per-class", 2, 5, "--seeds", 2)
    found = answered(capsys, "distill", digits_run, "--encoder", "vit_micro", "--out", "s", *counted, *QUICK)
    assert (found["run"], found["teacher"], found["alone"]) == ("s", str(digits_run), "s-alone")
    rows = {row["name"]: row for row in found["encoders"]}
    assert list(rows) == ["teacher", "student", "alone", "untrained"]
    assert rows["teacher"]["encoder"] == "resnet8"
    small = rows["student"]
    assert [rows[name]["encoder"] for name in ("student", "alone", "untrained")] == ["vit_micro"] * 3
    assert {rows[name]["parameters"] for name in ("student", "alone", "untrained")} == {small["parameters"]}
    assert small["megabytes"] == pytest.approx(Path("s/encoder.safetensors").stat().st_size / 1e6, rel=0.1)
    assert all(row["samples_per_second"] > 0 for row in rows.values())
    assert all(list(row["accuracy"]) == ["2", "5"] for row in rows.values())
    assert all(0 <= row["accuracy"]["5"]["mean"] <= 1 for row in rows.values())
    assert {row["versus"] for row in found["differences"]} == {"teacher", "alone", "untrained"}
    (against,) = [row for row in found["differences"] if (row["versus"], row["labels_per_class"]) == ("alone", 5)]
    means = [rows[name]["accuracy"]["5"]["mean"] for name in ("student", "alone")]
    assert against["mean"] == pytest.approx(means[0] - means[1])
    larger = small["parameters"] >= rows["teacher"]["parameters"]
    assert any("the student is no smaller than its teacher" in note for note in found["notes"]) == larger
    assert encoder_digest(lw.open_run(digits_run)) == before

    student, alone = lw.open_run("s"), lw.open_run("s-alone")
    assert student.config["method"]["name"] == "distill"
    assert student.config["recipe"]["options"]["teacher"] == str(digits_run)
    assert (alone.config["method"]["name"], alone.config["recipe"]["epochs"]) == ("simclr", 1)
    assert alone.config["recipe"]["lr"] == lw.open_run(digits_run).config["recipe"]["lr"]
    assert lw.embed(student, "digits:test", progress=False).vectors.shape == (500, small["dim"])
    assert main(["report", "s"]) == 0
    page = Path("s/report.html").read_text()
    assert "distillation" in page
    assert "s-alone" in json.dumps(found)

    # The same again with --resume trains nothing, and measures the same.
    how: dict[str, Any] = {"labels_per_class": [2, 5], "seeds": 2, "resume": True}
    again = lw.distill(digits_run, encoder="vit_micro", out="s", **how, **QUICKLY)
    told = json.loads(json.dumps(again.to_json()))["encoders"]
    assert [row["accuracy"] for row in told] == [row["accuracy"] for row in found["encoders"]]
    console = Console(width=200)
    with console.capture() as shown:
        console.print(again)
    assert "student − alone" in shown.get()
    assert "2 labels" in shown.get()


def test_other_data_without_labels(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    np.save("images.npy", images)
    asked = ("distill", digits_run, "--encoder", "resnet8", "--data", "images.npy", "--no-alone", "--batch-size", 20)
    found = answered(capsys, *asked, *QUICK)
    assert found["alone"] is None
    assert [row["name"] for row in found["encoders"]] == ["teacher", "student"]
    assert [row["accuracy"] for row in found["encoders"]] == [{}, {}]
    assert found["differences"] == []
    assert found["notes"][0].startswith("no accuracy was measured: ")
    sizes = {row["parameters"] for row in found["encoders"]}
    assert found["notes"][1] == (
        f"the student is no smaller than its teacher: {sizes.copy().pop():,} against {sizes.pop():,} parameters"
    )
    assert found["run"] == "runs/images-distill"
    assert lw.open_run(found["run"]).evaluation is not None
    measured = ("--train", "digits:train", "--test", "digits:test", "--labels-per-class", 3, "--seeds", 2, "--resume")
    found = answered(capsys, *asked, *QUICK, *measured)
    assert list(found["encoders"][1]["accuracy"]) == ["3"]
    assert not any("has learned" in note for note in found["notes"])


def test_an_interrupted_training_goes_on(
    digits_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from likewise.commands import distill as module

    def stopped(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped at step 1 of 10; to go on: likewise pretrain")

    monkeypatch.setattr(module, "pretrain", stopped)
    asked = ["distill", str(digits_run), "--encoder", "resnet8", "--epochs", "2", "--no-alone", "--out", "s"]
    assert main(asked) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    again = f"likewise distill {digits_run} --encoder resnet8 --epochs 2 --no-alone --out s --resume"
    assert said == f"stopped at step 1 of 10; to go on: {again}"


def test_texts_and_recordings() -> None:
    how = QUICKLY | {"batch_size": 32}
    texts = lw.pretrain(sentences(64), out="texts", max_tokens=16, vocab_size=150, **how)
    found = lw.distill(texts, encoder="bert-tiny", data=sentences(64, seed=1), out="t", alone=False, **how)
    student = lw.open_run(found.run)
    assert student.views.tokenizer == texts.views.tokenizer
    assert student.views.max_tokens == 16
    assert student.encode(["a child wrote the digit two"]).shape == (1, found.encoders[1]["dim"])
    # The table's rate is none for a Transformer: alone, the student has the recipe of its own kind.
    alone = load_recipe(str(alone_recipe(texts, student, open_source(sentences(64)))))
    assert (texts.config["recipe"]["method"], alone.method, alone.encoder) == ("bag-of-words", "simcse", "bert-tiny")
    assert alone.lr == load_recipe("simcse").lr
    sounds = lw.pretrain(recordings(64)[0], out="sounds", sample_rate=SAMPLE_RATE, seconds=0.4, **how)
    found = lw.distill(sounds, encoder="mel-resnet8", data=recordings(64, seed=1)[0], out="s", alone=False, **how)
    assert lw.open_run("s").views.seconds == 0.4
    assert lw.open_run("s").views.sample_rate == SAMPLE_RATE
    assert [row["name"] for row in found.encoders] == ["teacher", "student"]


@pytest.mark.slow
def test_a_half_of_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    how = QUICKLY | {"batch_size": 32, "max_tokens": 16, "vocab_size": 200}
    lw.pretrain(digits_and_names(64), encoder="resnet8+bert-tiny", out="pairs", **how)
    found = lw.distill("pairs", encoder="resnet8", data="digits", modality="image", alone=False, out="s", **QUICKLY)
    assert lw.open_run("s").modality == "image"
    assert [row["encoder"] for row in found.encoders[:2]] == ["resnet8", "resnet8"]
    assert found.encoders[0]["dim"] == 128


def test_known_weights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    state = timm.create_model("test_resnet", num_classes=0, in_chans=1).state_dict()
    monkeypatch.setattr("likewise.encoders.pretrained._timm_state", lambda *_: dict(state))
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32)).astype(np.uint8)
    np.save("images.npy", images)
    name = "timm:test_resnet.r160_in1k"
    asked = ("distill", name, "--encoder", "resnet8", "--batch-size", 20, "--no-alone", *QUICK)
    assert refused(capsys, *asked) == f"{name} has no data of its own: name some with --data"
    found = answered(capsys, *asked, "--data", "images.npy", "--out", "s")
    assert found["encoders"][0]["encoder"] == name
    assert lw.open_run("s").views.size == lw.open_run(found["teacher"]).views.size == 32


MISTAKES = {
    "distill gone --encoder resnet8": "no run folder gone",
    "distill {run} --encoder resnet9": "resnet9",
    "distill {run} --encoder bert-tiny": "bert-tiny",
    "distill {run} --encoder resnet8 --data texts.txt": "texts.txt",
    "distill {run} --encoder resnet8 --size 32": "--size applies to known weights (timm:NAME, hf:FOLDER), not to a run",
    "distill {run} --encoder resnet8 --train digits:train": "--train and --test need each other",
    "distill {run} --encoder resnet8 --train digits:train --test digits:test --labels-per-class 5000": (
        "labels_per_class"
    ),
    "distill {run} --encoder resnet8 --minutes 0": "minutes must be above 0, got 0",
    "distill {run} --encoder resnet8 --out {run}": "exists: add --resume to go on with it, or name another folder",
    "distill {run}": "distill needs --encoder: the student's, a name as `likewise pretrain` takes it",
    "pretrain digits --method distill --encoder resnet8": "distill needs a teacher: `likewise distill RUN",
    "pretrain digits --method distill --teacher {run} --encoder resnet8 --size 16": (
        "size must be 8, as the teacher {run} takes, got 16"
    ),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes(words: str, digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines(Path("texts.txt"), sentences(40))
    message = refused(capsys, *words.format(run=digits_run).split(), "--no-progress")
    assert MISTAKES[words].format(run=digits_run) in message
    assert not Path("runs").exists()


def test_pairs_are_refused_as_data(digits_run: Path) -> None:
    with pytest.raises(lw.UserError, match=r"^data must be samples of one modality, got .*, which is pairs"):
        lw.distill(digits_run, encoder="resnet8", data=digits_and_names(32), progress=False)
