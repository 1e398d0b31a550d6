"""Pairs, from the files to the page: as a user types it, and from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import likewise as lw
from likewise.cli import main
from likewise.data.open import open_source
from likewise.data.pairs import PairSource
from likewise.data.text import TextSource
from small_data import THINGS
from small_files import COLOURS, by_colour, captioned, lines, notes, squares, table
from typed_commands import answered

Text = pytest.CaptureFixture[str]

QUICK = "--max-tokens 16 --vocab-size 200 --precision 32-true".split()
CHANCE, ENCODER, UNTRAINED = "chance", "encoder", "untrained"
PROTOCOLS = ("image → text", "text → image")


pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a study of a folder of captioned squares, beside which the folder lies."""
    folder = tmp_path_factory.mktemp("clip")
    words = f"study {captioned(folder / 'squares', 120)} --method clip --encoder resnet8+bert-tiny --augment none"
    assert (
        main([*words.split(), *QUICK, *f"--batch-size 30 --epochs 12 --out {folder / 'run'} --no-progress".split()])
        == 0
    )
    return folder / "run"


def test_a_study_of_captioned_pictures(studied: Path) -> None:
    evaluation = lw.open_run(studied).evaluation
    assert evaluation is not None
    assert evaluation["samples"] == {"test": 30}
    assert "summary" not in evaluation
    [found] = evaluation["tables"]
    assert [tuple(row[:2]) for row in found["rows"]] == [
        (protocol, by) for protocol in PROTOCOLS for by in (ENCODER, UNTRAINED, CHANCE)
    ]
    assert found["head"][2:] == ["recall@1", "recall@5", "recall@10", "mean reciprocal rank", "median rank"]
    reciprocal = {tuple(row[:2]): row[5] for row in found["rows"]}
    for protocol in PROTOCOLS:
        assert reciprocal[protocol, ENCODER] > 1.5 * max(reciprocal[protocol, UNTRAINED], reciprocal[protocol, CHANCE])


def test_the_page_of_pairs(studied: Path) -> None:
    run = lw.open_run(studied)
    assert run.verdict is not None
    assert run.verdict.kind == "learning"
    for words in ("the two halves of a pair are ", " as far apart as halves of two pairs (", "the other half is found"):
        assert words in run.verdict.message
    page = (studied / "report.html").read_text()
    for words in ("image → text", "a red square of ", run.verdict.message):
        assert words in page
    with np.load(studied / "pairs.npz") as pairs:
        assert pairs["halves"]
        assert pairs["first"].shape == (8, 3, 16, 16)
        assert all(text.startswith("a ") for text in pairs["second_texts"])
    with np.load(studied / "gallery.npz") as gallery:
        assert gallery["embeddings"].shape == (30, 128)
        assert gallery["pictures"].shape[0] == len(gallery["texts"]) == 30
    with np.load(studied / "snapshots.npz") as snapshots:
        own = [np.diagonal(matrix[:8, 8:]).mean() - matrix[:8, 8:].mean() for matrix in snapshots["similarity"]]
        assert own[-1] > own[0] + 0.1
    with np.load(studied / "matches.npz") as matches:
        assert matches["candidates"].tolist() == [5, 30]


def test_pictures_are_found_by_words(studied: Path, capsys: Text) -> None:
    folder = studied.parent / "squares"
    found = answered(capsys, "search", studied, folder, "--text", "a blue square of seven points", "--top", 5)
    colours = [list(COLOURS)[int(Path(match["id"]).stem) % 4] for match in found["matches"]]
    assert colours.count("blue") >= 4
    assert all(match["text"] is None for match in found["matches"])
    assert answered(capsys, "search", studied, "--text", "red")["matches"][0]["id"].endswith(".png")

    by_colour(Path("pictures"), 40, seed=900)
    said = answered(capsys, "embed", studied, "pictures", "--out", "x.parquet", "--no-progress")
    assert said == {"out": "x.parquet", "rows": 40, "dim": 128}
    for collection in ("x.parquet", "pictures"):
        found = answered(capsys, "search", studied, collection, "--text", "a green square of six points", "--top", 5)
        assert [match["id"].split("/")[0] for match in found["matches"]].count("green") >= 4


def test_words_are_found_by_a_picture(studied: Path, capsys: Text) -> None:
    folder = studied.parent / "squares"
    found = answered(capsys, "search", studied, folder, "--image", folder / "1.png", "--top", 8)["matches"]
    assert sum("green" in match["text"] for match in found) >= 6
    lines(Path("said.txt"), [f"a {colour} square of {THINGS[6]} points" for colour in COLOURS])
    asked = ["search", studied, "said.txt", "--modality", "text", "--image", folder / "2.png"]
    found = answered(capsys, *asked)["matches"]
    assert len(found) == 4
    assert found[0]["text"] == "a blue square of six points"


def test_embeddings_of_pairs_and_of_their_halves(studied: Path, capsys: Text) -> None:
    folder = studied.parent / "squares"
    assert answered(capsys, "embed", studied, folder, "--out", "both.npy", "--no-progress")["rows"] == 120
    words = ["embed", studied, folder, "--modality", "image", "--out", "one.npy", "--no-progress"]
    assert answered(capsys, *words)["rows"] == 120
    both, one = np.load("both.npy"), np.load("one.npy")
    assert both.shape == one.shape == (120, 128)
    assert np.abs(both - one).max() > 0.1


def test_classes_are_known_by_their_names_and_learned_from_few_labels(studied: Path, capsys: Text) -> None:
    by_colour(Path("labelled"), 40, seed=500)
    by_colour(Path("judged"), 40, seed=700)
    [found] = answered(capsys, "evaluate", studied, "--test", "judged", "--no-progress")["tables"]
    assert found["title"] == "zero-shot classification by class names"
    accuracy = {row[0]: row[1] for row in found["rows"]}
    assert accuracy[CHANCE] == accuracy["most frequent class"] == 0.25
    assert accuracy[ENCODER] > 0.6
    assert set(accuracy) == {ENCODER, UNTRAINED, CHANCE, "most frequent class"}

    few = "--train labelled --test judged --labels-per-class 1 --seeds 2 --protocols frozen untrained --no-progress"
    result = answered(capsys, "evaluate", studied, *few.split())
    assert result["classes"] == ["blue", "green", "red", "yellow"]
    assert {row["protocol"] for row in result["summary"]} == {"frozen", "untrained"}
    assert result["tables"][0]["title"] == found["title"]
    for name in ("train.csv", "test.csv"):
        table(Path(name), ["text", "label"], [(f"a {colour} square", colour) for colour in result["classes"]] * 3)
    words = (
        "--train train.csv --test test.csv --labels-per-class 2 --seeds 1 --protocols frozen raw-logistic --no-progress"
    )
    by_words = answered(capsys, "evaluate", studied, *words.split())
    assert by_words["raw"] == "TF-IDF"
    assert {row["protocol"]: row["mean"] for row in by_words["summary"]} == {"frozen": 1.0, "raw-logistic": 1.0}
    answered(capsys, "evaluate", studied, *few.split())
    assert main(["report", str(studied)]) == 0
    assert "zero-shot classification by class names" in (studied / "report.html").read_text().lower()


def test_a_table_of_pairs_with_a_probe_resumed(capsys: Text) -> None:
    table(Path("pairs.csv"), ["image", "text"], squares(Path("pictures"), 32))
    by_colour(Path("labelled"), 16, seed=500)
    words = "pretrain pairs.csv --method siglip --batch-size 16 --epochs 1 --encoder resnet8+bert-tiny --probe labelled"
    assert main([*words.split(), *QUICK, "--out", "run"]) == 0, capsys.readouterr().err
    run = lw.open_run("run")
    assert run.chance["probe"] == 0.25
    assert len([row for row in run.history.rows if "probe" in row]) == 2
    weights = Path("run/encoder.safetensors").read_bytes()
    assert main([*words.split(), *QUICK, "--out", "run", "--resume"]) == 0, capsys.readouterr().err
    assert Path("run/encoder.safetensors").read_bytes() == weights
    [found] = answered(capsys, "evaluate", "run", "--test", "pairs.csv", "--no-progress")["tables"]
    assert "32 pairs" in found["caption"]


def test_recordings_and_words(capsys: Text) -> None:
    folder = notes(Path("notes"), 32)
    paths = sorted(folder.rglob("*.wav"))
    rows = [(path, f"note {THINGS[i % 10]} of {path.parent.name}") for i, path in enumerate(paths)]
    table(Path("pairs.csv"), ["audio", "text"], rows)
    words = "pretrain pairs.csv --method clip --batch-size 16 --epochs 1 --encoder mel-resnet8+bert-tiny --seconds 0.2"
    assert main([*words.split(), *QUICK, "--out", "run"]) == 0, capsys.readouterr().err
    assert lw.open_run("run").config["encoder"]["modalities"] == ["audio", "text"]
    found = answered(capsys, "search", "run", "notes", "--text", "note one of timbre b", "--top", 3)["matches"]
    assert all(match["id"].endswith(".wav") for match in found)
    assert main(["report", "run"]) == 0
    page = Path("run/report.html").read_text()
    assert "<audio controls" in page
    assert " of timbre " in page


def test_pairs_from_python() -> None:
    digits = open_source("digits:test")
    said = [f"the number {THINGS[label]}" for label in digits.labels().tolist()]
    pairs = PairSource([digits, TextSource(said, name="said", progress=False)], ["image", "text"], name="digits said")
    how: dict[str, Any] = {"epochs": 1, "batch_size": 64, "precision": "32-true", "progress": False}
    run = lw.pretrain(
        pairs, method="clip", encoder="resnet8+bert-tiny", max_tokens=16, vocab_size=200, out="run", **how
    )
    assert run.config["data"] is None
    evaluation = lw.evaluate(run, test=pairs, progress=False)
    assert evaluation["tables"][0]["rows"][0][:2] == ["image → text", "encoder"]
    assert "image → text" in str(evaluation)
    again = lw.open_run("run")
    lw.embed(again, digits, out="x.parquet", progress=False)
    assert pq.read_table("x.parquet").num_rows == 500
    found = lw.search(again, "x.parquet", text="the number three", top=4)
    assert [match.rank for match in found] == [1, 2, 3, 4]
    how = {"labels_per_class": [1], "seeds": 1, "protocols": ["frozen"], "modality": "image", "progress": False}
    zero_shot = lw.evaluate(again, test="digits:test", train="digits:train", **how)
    assert zero_shot["tables"][0]["title"] == "zero-shot classification by class names"
