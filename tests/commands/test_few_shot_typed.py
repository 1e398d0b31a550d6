"""`likewise evaluate --protocols few-shot`, as it is typed: images, texts and recordings, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.data.open import open_source
from likewise.evaluation.episode_classifiers import CLASSIFIERS
from small_data import SAMPLE_RATE, THINGS, sentences
from small_files import notes, table
from typed_commands import answered, refused

HOW: dict[str, Any] = {"epochs": 1, "precision": "32-true", "progress": False}
SMALL = ("--way", 2, "--shot", 1, 2, "--query", 3, "--episodes", 20)


def things(path: Path, count: int) -> Path:
    """Sentences, and the number that each is about: ten classes."""
    said = sentences(count)
    rows = [(text, next(name for name in THINGS if f"wrote the digit {name} " in text)) for text in said]
    return table(path, ["text", "label"], rows)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of each modality, and a run on half of its classes."""
    folder = tmp_path_factory.mktemp("few")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        digits = open_source("digits:train")
        pixels = digits.pixels[:200]
        np.savez(folder / "digits.npz", x=pixels, y=digits.labels()[:200].numpy())
        things(folder / "things.csv", 120)
        notes(folder / "notes", 48)
        lw.pretrain(f"{folder}/digits.npz:base", encoder="resnet8", batch_size=32, out=folder / "image", **HOW)
        of_texts = {"max_tokens": 24, "vocab_size": 200, "encoder": "bert-tiny", "batch_size": 16}
        lw.pretrain(f"{folder}/things.csv:base", out=folder / "text", **of_texts, **HOW)
        of_sounds = {"sample_rate": SAMPLE_RATE, "seconds": 0.4, "encoder": "mel-resnet8", "batch_size": 8}
        lw.pretrain(f"{folder}/notes:base", out=folder / "audio", **of_sounds, **HOW)
    return folder


@pytest.mark.parametrize(("modality", "raw"), [("image", "pixels"), ("text", "TF-IDF"), ("audio", "log-mel")])
def test_new_classes(modality: str, raw: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = answered(capsys, "evaluate", runs / modality, "--protocols", "few-shot", *SMALL)
    found = said["few_shot"]
    assert said["test"].endswith(":novel")
    assert found["chance"] == 0.5
    source = open_source(json.loads((runs / modality / "config.json").read_text())["data"])
    learned = {source.classes[label] for label in source.labels().tolist()}
    assert len(found["classes"]) >= 2
    assert not learned & set(found["classes"])
    kinds = list(dict.fromkeys(row["features"] for row in found["summary"]))
    assert kinds[:2] == ["Frozen encoder", "Untrained encoder"]
    assert raw in kinds[2]
    expected = {(kind, name, shot) for kind in kinds for name in CLASSIFIERS for shot in (1, 2)}
    assert {(row["features"], row["classifier"], row["shot"]) for row in found["summary"]} == expected
    assert all(row["low"] <= row["mean"] <= row["high"] for row in found["summary"])
    assert len(found["differences"]) == 2 * len(CLASSIFIERS) * 2
    means = {(row["features"], row["classifier"], row["shot"]): row["mean"] for row in found["summary"]}
    for row in found["differences"]:
        others = (
            means[row["features"], row["classifier"], row["shot"]]
            - means[row["versus"], row["classifier"], row["shot"]]
        )
        assert row["mean"] == pytest.approx(others, abs=1e-6)
    assert max(means.values()) > 0.6  # 20 episodes of two classes that are easy to tell apart
    again = answered(capsys, "evaluate", runs / modality, "--protocols", "few-shot", *SMALL)
    assert again == said


def test_it_is_in_the_run_and_on_the_page(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = answered(capsys, "evaluate", runs / "image", "--protocols", "few-shot", *SMALL)
    evaluation = lw.open_run(runs / "image").evaluation
    assert evaluation is not None
    assert evaluation["few_shot"] == said["few_shot"]
    shown = str(evaluation)
    assert "2-way accuracy on new classes of digits:novel" in shown
    assert "nearest centroid" in shown
    assert "1-shot, %" in shown
    page = Path(str(lw.write_report(runs / "image"))).read_text(encoding="utf-8")
    assert "label propagation" in page
    assert "2-way accuracy on new classes of digits:novel" in page


def test_what_cannot_be_measured_is_told_in_one_line(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def why(*words: object) -> str:
        return refused(capsys, "evaluate", runs / "image", "--protocols", *words)

    assert why("few-shot", "--way", 6).startswith("way must be at most 5, the number of classes of digits:novel, got 6")
    assert why("few-shot", "--shot", 100).startswith("shot + query must be at most ")
    assert why("few-shot", "--test", f"{runs}/digits.npz").startswith("test must have no class of the training data")
    (runs / "plain.npy").write_bytes(b"")
    np.save(runs / "plain.npy", np.zeros((9, 8, 8), dtype=np.uint8))
    assert "labels" in why("few-shot", "--test", runs / "plain.npy")
    assert why("few-shot", "frozen").startswith("protocols must be few-shot alone or others, got few-shot and frozen")
    assert why("few-shots") == "protocols must be known ones, got 'few-shots', did you mean 'few-shot'?"
    assert why("few-shot", "--seeds", 3) == "--seeds has no effect with --protocols few-shot: leave it out"
    assert why("frozen", "--way", 3).startswith("--way applies to --protocols few-shot")
    for option in ("--way", "--shot", "--query", "--episodes"):
        for value in (0, -1, 2**63):
            assert why("few-shot", option, value).startswith(f"{option.removeprefix('--')} must be ")
    assert why("few-shot", "--way", 100, "--shot", 100).startswith("way x (shot + query) must be at most 2,000")


def test_a_run_on_all_classes_needs_other_data(
    runs: Path, digits_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "evaluate", digits_run, "--protocols", "few-shot")
    assert said.startswith("few-shot episodes need classes that the encoder has not learned from")
    said = refused(capsys, "evaluate", digits_run, "--protocols", "few-shot", "--test", "digits:novel")
    assert said.startswith("test must have no class of the training data")
