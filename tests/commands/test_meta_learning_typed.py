"""Methods that learn from episodes, as they are typed: trained, evaluated by adapting, on the page, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import likewise as lw
from likewise.data.open import open_source
from likewise.runs.figures import Figures
from likewise.runs.history import History
from typed_commands import answered, refused

HOW = ("--encoder", "resnet8", "--epochs", 2, "--precision", "32-true", "--threads", 1, "--no-progress")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, and a run of MAML on half of their classes."""
    folder = tmp_path_factory.mktemp("meta")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        digits = open_source("digits:train")
        np.savez(folder / "digits.npz", x=digits.pixels[:200], y=digits.labels()[:200].numpy())
        options: dict[str, Any] = {"way": 3, "shot": 1, "query": 3, "inner_steps": 2, "batch_size": 24, "epochs": 2}
        how = {"encoder": "resnet8", "precision": "32-true", "threads": 1, "progress": False}
        lw.pretrain(f"{folder}/digits.npz:base", method="maml", out=folder / "maml", **options, **how)
    return folder


def test_the_run_says_what_it_learned_from_and_how_it_adapts(folder: Path) -> None:
    config = json.loads((folder / "maml" / "config.json").read_text())
    assert config["method"] == {
        "name": "maml",
        "family": "meta-learning",
        "paper": "1703.03400",
        "supervised": True,
        "encoder": "trained",
    }
    history = History.load(folder / "maml")
    assert {"accuracy", "accuracy_after_0", "accuracy_after_1", "loss"} <= set(history.names)
    before = history.column("accuracy_after_0")
    assert before == pytest.approx([1 / 3] * len(before))
    (figure,) = Figures.load(folder / "maml")
    assert [row.name for row in figure.rows] == ["support 1", "query 1", "query 2", "query 3"]
    for row in figure.rows:
        assert len(row) == 3
    for query in figure.rows[1:]:
        assert query.texts is not None
        marks = [text.split() for text in query.texts]
        assert all((letter == "ABC"[column]) == (mark == "✓") for column, (letter, mark) in enumerate(marks))


def test_an_evaluation_adapts_the_encoder_and_the_page_shows_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--protocols", "few-shot", "--way", 3, "--shot", 1, 2, "--query", 4, "--episodes", 10)
    said = answered(capsys, "evaluate", folder / "maml", *asked)
    found = said["few_shot"]
    assert found["classifiers"][-1] == "adapted"
    adapted = [row for row in found["summary"] if row["classifier"] == "adapted"]
    assert [(row["features"], row["shot"]) for row in adapted] == [
        (name, shot) for name in ("Adapted encoder", "Untrained encoder") for shot in (1, 2)
    ]
    steps = found["adaptation"]
    assert [row["step"] for row in steps] == [0, 1, 2] * 4
    assert [row["mean"] for row in steps if row["step"] == 0] == pytest.approx([1 / 3] * 4)
    ends = {(row["features"], row["shot"]): row["mean"] for row in steps if row["step"] == 2}
    assert ends == {(row["features"], row["shot"]): pytest.approx(row["mean"]) for row in adapted}
    versus = [row for row in found["differences"] if row["classifier"] == "adapted"]
    assert [(row["features"], row["versus"]) for row in versus] == [("Adapted encoder", "Untrained encoder")] * 2
    assert versus[0]["mean"] == pytest.approx(adapted[0]["mean"] - adapted[2]["mean"])
    assert answered(capsys, "evaluate", folder / "maml", *asked) == said

    evaluation = lw.open_run(folder / "maml").evaluation
    assert evaluation is not None
    assert "Adapted encoder" in str(evaluation)
    page = Path(str(lw.write_report(folder / "maml"))).read_text(encoding="utf-8")
    for text in (
        "An episode that no step had",
        "adaptation-training",
        "adaptation-episodes",
        "Adapted encoder, 2-shot",
    ):
        assert text in page
    assert "Accuracy after 0" not in page  # on one chart, not on one each


@pytest.mark.parametrize("method", ["protonet", "maml", "reptile", "contrastive-maml"])
def test_data_without_labels(method: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder / "plain.npy"
    np.save(data, open_source("digits:train").pixels[:64])
    words = ("pretrain", data, "--method", method, "--out", folder / f"plain-{method}", "--batch-size", 64, *HOW)
    if method != "contrastive-maml":
        assert "no labels" in refused(capsys, *words)
        assert not (folder / f"plain-{method}").exists()
        return
    assert "no labels" in refused(capsys, *words, "--tasks", "labelled")
    answered(capsys, *words, "--inner-steps", 2, "--query", 2)
    run = lw.open_run(folder / f"plain-{method}")
    assert run.config["method"]["supervised"] is False
    assert run.history.column("accuracy")[-1] > 0


@pytest.mark.slow
def test_tasks_from_the_clusters_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of images at another size than the run's own."""
    words = ("pretrain", f"{folder}/digits.npz", "--method", "contrastive-maml", "--tasks", "clusters")
    words = (*words, "--clusters-of", folder / "maml", "--clusters", 8, "--query", 1, "--inner-steps", 1, *HOW)
    found = answered(capsys, *words, "--size", 12, "--out", folder / "clusters")
    assert found["recipe"]["options"]["clusters_of"] == str(folder / "maml")
    run = lw.open_run(folder / "clusters")
    assert run.config["method"]["supervised"] is False
    assert run.history.column("accuracy")[-1] > 0
    elsewhere = [folder / "none" if word == folder / "maml" else word for word in words]
    assert refused(capsys, *elsewhere).startswith("no run folder")
    Path(folder / "texts.txt").write_text("".join(f"text number {n} of all\n" for n in range(40)))
    other = ("pretrain", folder / "texts.txt", *words[2:8], "--encoder", "bert-tiny", "--out", folder / "texts")
    line = refused(capsys, *other, "--no-progress")
    assert line == f"{folder / 'maml'} has learned from image samples, these are text"


def test_what_holds_no_episode_is_told_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def why(*words: object, method: str = "maml") -> str:
        data = f"{folder}/digits.npz:base"
        out = ("--batch-size", 40, "--out", folder / "other")
        return refused(capsys, "pretrain", data, "--method", method, *out, *HOW, *words)

    assert why("--way", 6).startswith("way must be at most 5, the number of classes of digits:base, got 6")
    assert why("--shot", 50, method="protonet").startswith("shot + query must be at most ")
    said = "batch_size must be at least 80, one episode of 5 classes with 16 samples each, got 40: take a larger"
    assert why("--query", 15).startswith(said)
    assert why("--micro-batch-size", 10, "--way", 2).startswith("micro_batch_size has no use where each episode")
    assert why("--way", 1).startswith("way must be at least 2, got 1")
    assert why("--inner-lr", 0).startswith("inner_lr must be above 0, got 0")
