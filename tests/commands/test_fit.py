"""`likewise fit`, `predict` and `suggest`, as they are typed."""

from __future__ import annotations

import csv
import errno
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import likewise as lw
from hostile import damaged, wrong_documents
from likewise.cli import main
from likewise.commands import predict as predict_module
from likewise.runs.classifier import Classifier
from small_data import sentences
from small_files import by_colour, captioned, lines, notes, section, table
from typed_commands import answered, refused


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on squares of four colours, and the squares themselves."""
    folder = tmp_path_factory.mktemp("colours")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder / "cache"))
        for place, path in enumerate(sorted(by_colour(folder / "by", 80, seed=0).rglob("*.png"))):
            (folder / "all").mkdir(exist_ok=True)
            Image.open(path).save(folder / "all" / f"{place:02}-{path.parent.name}.png")
        how: dict[str, Any] = {"encoder": "resnet8", "epochs": 2, "batch_size": 16, "precision": "32-true"}
        lw.pretrain(folder / "all", out=folder / "run", progress=False, **how)
    return folder


@pytest.fixture(scope="module")
def digits_classifier(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On the digits that the run has not learned from."""
    folder = tmp_path_factory.mktemp("digits-classifier") / "c"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_CACHE", str(folder.parent / "cache"))
        lw.fit(digits_run, labels="digits:test", out=folder, progress=False)
    return folder


def colour_table(colours: Path, path: Path, each: int, *, word: str = "{colour}") -> Path:
    """The colours of some of the squares."""
    names = sorted(file.name for file in (colours / "all").iterdir())
    chosen = [name for colour in ("red", "green", "blue", "yellow") for name in names if colour in name][:]
    counts: dict[str, int] = {}
    rows = []
    for name in chosen:
        colour = name.partition("-")[2].removesuffix(".png")
        counts[colour] = counts.get(colour, 0) + 1
        if counts[colour] <= each:
            rows.append((name, word.format(colour=colour, number=int(name[:2]))))
    return table(path, ["file", "label"], rows)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_labels_for_the_rest(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = colour_table(colours, tmp_path / "labels.csv", 8)
    fitted = answered(capsys, "fit", colours / "run", "--labels", labels, "--out", "c", "--coverage", 0.9)
    assert fitted["task"] == "classification"
    assert fitted["classes"] == ["blue", "green", "red", "yellow"]
    assert fitted["counts"] == [8, 8, 8, 8]
    found = fitted["cross_validation"]
    assert found["samples"] == 32
    assert found["accuracy"]["mean"] > 0.85
    assert found["accuracy"]["low"] < found["accuracy"]["mean"] <= found["accuracy"]["high"]
    assert len(found["recall"]) == 4
    assert 0.8 <= found["abstaining"]["coverage"] <= 1
    assert 0.2 < fitted["threshold"] < 1
    assert "48 samples of all without a label" in fitted["notes"]
    assert fitted["labels"]["file"] == str(labels.resolve())
    assert sorted(path.name for path in Path("c").iterdir()) == ["classifier.json", "head.safetensors"]

    for name in ("p.csv", "p.jsonl", "p.parquet"):
        predicted = answered(capsys, "predict", "c", colours / "all", "--out", name)
        assert predicted["rows"] == 80
        assert predicted["measured"] is None
        assert sum(predicted["labels"].values()) == 80
    kept = rows_of(Path("p.csv"))
    assert list(kept[0]) == ["id", "label", "probability", "abstained"]
    assert [row["id"] for row in kept] == sorted(path.name for path in (colours / "all").iterdir())
    right = [row["id"].partition("-")[2] == f"{row['label']}.png" for row in kept]
    assert np.mean(right) > 0.85
    assert sum(row["abstained"] == "true" for row in kept) == predicted["abstained"]
    below = [float(row["probability"]) < fitted["threshold"] for row in kept]
    assert below == [row["abstained"] == "true" for row in kept]
    as_json = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert as_json == pq.read_table("p.parquet").to_pylist()
    assert [str(row["probability"]) for row in as_json] == [row["probability"] for row in kept]
    assert [path for path in Path().iterdir() if path.name.startswith(".p")] == []


def test_the_same_seed_gives_the_same_bytes(colours: Path, tmp_path: Path) -> None:
    labels = colour_table(colours, tmp_path / "labels.csv", 6)
    for out in ("a", "b"):
        lw.fit(colours / "run", labels=labels, out=out, seed=3, progress=False)
    assert Path("a/head.safetensors").read_bytes() == Path("b/head.safetensors").read_bytes()


def test_labels_by_subfolders_compare_the_predictions(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered(capsys, "fit", colours / "run", "--labels", by_colour(Path("more"), 40, seed=500), "--out", "c")
    predicted = answered(capsys, "predict", "c", colours / "by", "--out", "p.csv")
    right = [row["id"].startswith(f"{row['label']}/") for row in rows_of(Path("p.csv"))]
    assert predicted["measured"]["accuracy"]["mean"] == np.mean(right) > 0.85
    assert predicted["notes"] == []
    own = answered(capsys, "predict", "c", "more", "--out", "q.csv")
    assert own["notes"][0].startswith("the classifier has learned from 40 samples of more")
    assert main(["predict", "c", str(colours / "by"), "--out", "p.csv"]) == 0
    out, _ = capsys.readouterr()
    assert "of 80 samples with labels" in out


def test_several_labels_a_sample(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Warm or cold, and whether there is red in it."""
    labels = colour_table(colours, tmp_path / "labels.csv", 10)
    words = {"red": "warm;red", "yellow": "warm; red", "green": "cold", "blue": ";"}
    rows = [(row["file"], words[row["label"]]) for row in rows_of(labels)]
    fitted = answered(capsys, "fit", colours / "run", "--labels", table(labels, ["file", "label"], rows), "--out", "c")
    assert fitted["task"] == "multilabel"
    assert fitted["classes"] == ["cold", "red", "warm"]
    assert fitted["counts"] == [10, 20, 20]
    assert fitted["cross_validation"]["micro_f1"] > 0.8
    assert len(fitted["thresholds"]) == 3
    predicted = answered(capsys, "predict", "c", colours / "all", "--out", "p.csv")
    found = {row["id"]: row for row in rows_of(Path("p.csv"))}
    warm = [row for name, row in found.items() if "red" in name]
    assert np.mean([row["label"] == "red;warm" for row in warm]) > 0.8
    assert all(row["probability"].count(";") == row["label"].count(";") for row in found.values())
    assert sum(row["label"] == "" for row in found.values()) == predicted["abstained"] > 0
    message = refused(capsys, "fit", colours / "run", "--labels", labels, "--out", "d", "--accuracy", 0.9)
    assert message == f"--coverage and --accuracy apply to one class a sample, the labels of {labels} are multilabel"


def test_numbers(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How red the colour is, as part of 1."""
    labels = colour_table(colours, tmp_path / "labels.csv", 12)
    words = {"red": 0.86, "green": 0.12, "blue": 0.12, "yellow": 0.86}
    rows = [(row["file"], words[row["label"]]) for row in rows_of(labels)]
    fitted = answered(capsys, "fit", colours / "run", "--labels", table(labels, ["file", "label"], rows), "--out", "c")
    assert fitted["task"] == "regression"
    assert fitted["classes"] == []
    assert fitted["cross_validation"]["r2"] > 0.7
    assert fitted["cross_validation"]["mean_absolute_error"]["mean"] < fitted["cross_validation"]["of_the_mean"] / 2
    answered(capsys, "predict", "c", colours / "all", "--out", "p.csv")
    found = rows_of(Path("p.csv"))
    assert list(found[0]) == ["id", "value"]
    high = [float(row["value"]) > 0.5 for row in found]
    assert (
        np.mean([one == ("red" in row["id"] or "yellow" in row["id"]) for one, row in zip(high, found, strict=True)])
        > 0.85
    )
    as_classes = answered(capsys, "fit", colours / "run", "--labels", labels, "--out", "d", "--task", "classification")
    assert as_classes["classes"] == ["0.12", "0.86"]
    wrong = colour_table(colours, tmp_path / "words.csv", 2)
    message = refused(capsys, "fit", colours / "run", "--labels", wrong, "--out", "e", "--task", "regression")
    assert message == f"labels must be numbers for regression, got 'blue' in {wrong}"


def test_a_killed_prediction_goes_on(
    digits_run: Path, digits_classifier: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict_module, "PART", 100)
    shutil.copytree(digits_classifier, "c")
    lw.predict("c", "digits:test", out="whole.csv", batch_size=50, progress=False)
    embedded = []

    def counted(stream: Any, fail_at: int) -> Any:
        def count(featurize: Any, source: Any, places: Any, **how: Any) -> Any:
            if len(embedded) == fail_at:
                raise KeyboardInterrupt
            embedded.append(len(places))
            return stream(featurize, source, places, **how)

        return count

    from likewise.evaluation import features

    stream = features.stream
    monkeypatch.setattr(features, "stream", counted(stream, 3))
    assert main("predict c digits:test --out p.csv --batch-size 50".split()) == 130
    assert not Path("p.csv").exists()
    assert embedded == [100, 100, 100]
    said = capsys.readouterr().err
    assert said.splitlines()[-1] == "stopped after 300 of 500 samples; the same command goes on"
    # Half of a part is no part.
    (last,) = Path(".p.csv.parts").glob("*2.arrow")
    last.write_bytes(last.read_bytes()[:100])
    embedded.clear()
    monkeypatch.setattr(features, "stream", counted(stream, -1))
    assert main("predict c digits:test --out p.csv --batch-size 50".split()) == 0
    assert embedded == [100, 100, 100]
    assert "going on after 200 of 500 samples" in capsys.readouterr().err
    assert Path("p.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not Path(".p.csv.parts").exists()

    # Other data, or another classifier: nothing of before is used.
    monkeypatch.setattr(features, "stream", counted(stream, 6))
    assert main("predict c digits:test --out p.csv --batch-size 50".split()) == 130
    monkeypatch.setattr(features, "stream", stream)
    lw.fit(digits_run, labels="digits:test", out="c", balanced=True, seed=1, coverage=0.5, progress=False)
    embedded.clear()
    monkeypatch.setattr(features, "stream", counted(stream, -1))
    assert main("predict c digits:test --out p.csv --batch-size 50 --no-progress".split()) == 0
    assert sum(embedded) == 500


def test_a_classifier_of_another_encoder_is_refused(
    digits_run: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = colour_table(colours, tmp_path / "labels.csv", 2)
    lw.fit(colours / "run", labels=labels, out="c", progress=False)
    asked = ("predict", "c", "digits:test", "--out", "p.csv")
    assert refused(capsys, *asked, "--run", digits_run) == (
        f"run must be the one that c was fitted on, got {digits_run}, whose encoder is another one: "
        f"`likewise fit {digits_run}` makes a classifier for it"
    )
    info = json.loads(Path("c/classifier.json").read_text())
    info["encoder"] |= {"run": str(digits_run), "relative": None}
    Path("c/classifier.json").write_text(json.dumps(info))
    assert refused(capsys, *asked) == (
        f"{digits_run} has another encoder than c was fitted on: fit again, or name its run with --run"
    )
    info["encoder"] |= {"run": "/gone", "relative": "../gone"}
    Path("c/classifier.json").write_text(json.dumps(info))
    assert refused(capsys, *asked) == "the run of c is no longer at /gone: name where it is with --run"
    predicted = answered(capsys, "predict", "c", colours / "all", "--out", "p.csv", "--run", colours / "run")
    assert predicted["rows"] == 80
    assert not Path("q.csv").exists()


def test_a_run_and_its_classifier_can_be_moved(digits_run: Path, tmp_path: Path) -> None:
    shutil.copytree(digits_run, tmp_path / "one")
    made = lw.fit(tmp_path / "one", labels="digits:test", progress=False)
    assert made.path == tmp_path / "one" / "classifier"
    shutil.move(tmp_path / "one", tmp_path / "other")
    found = lw.predict(tmp_path / "other" / "classifier", "digits:test", progress=False)
    assert len(found) == 500
    assert found.measured["accuracy"]["mean"] > 0.8
    assert set(found.table[0]) == {"id", "label", "probability", "abstained"}


BAD = {
    "--labels none.csv": "labels must be a table of files and labels, or a folder, got none.csv, which is absent",
    "--labels one.csv": "labels must be of at least two classes, got one class ('red') in {here}/one.csv",
    "--labels empty.csv": "no labels",
    "--labels unknown.csv": "labels: no row of {here}/unknown.csv names a file of {data}",
    "--labels ok.csv --coverage 0": "coverage must be above 0 and at most 1, got 0.0",
    "--labels ok.csv --coverage 0.9 --accuracy 0.9": "give one of --coverage and --accuracy: each decides when",
    "--labels ok.csv --task guess": "task must be one of classification, multilabel, regression, got 'guess'",
    "--labels ok.csv --out full": "full exists and holds something else: name another folder with --out",
    "--labels ok.csv --out ok.csv": "ok.csv must be a folder, got a link or a file: name another one with --out",
    "--labels single.csv --coverage 0.9": "coverage and accuracy need a class with two labels",
    "--labels single.csv --task regression": "labels must be numbers for regression",
}


@pytest.mark.parametrize("words", BAD)
def test_labels_that_cannot_be_learned_from(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    rows = rows_of(colour_table(colours, tmp_path / "ok.csv", 3))
    red = [(row["file"], "red") for row in rows]
    table(tmp_path / "one.csv", ["file", "label"], red)
    table(tmp_path / "empty.csv", ["file", "label"], [(name, "") for name, _ in red])
    table(tmp_path / "unknown.csv", ["file", "label"], [("x.png", "red"), ("y.png", "blue")])
    table(tmp_path / "single.csv", ["file", "label"], [(rows[0]["file"], "a"), (rows[1]["file"], "b")])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    more = [] if "--out" in words else ["--out", "c"]
    message = refused(capsys, "fit", colours / "run", "--no-progress", *words.split(), *more)
    assert BAD[words].format(here=tmp_path, data=(colours / "all").resolve()) in message
    assert not (tmp_path / "c").exists()
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_labels_with_samples_of_their_own_need_no_data(
    colours: Path, digits_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("fit", colours / "run", colours / "all", "--labels", colours / "by", "--out", "c", "--no-progress")
    assert refused(capsys, *asked).startswith(
        f"data must be left out: the labels in {colours / 'by'} lie with samples of their own"
    )
    images = np.random.default_rng(0).integers(0, 17, (40, 8, 8)).astype(np.uint8)
    images[::2, :, :4] = 0
    labels = np.arange(40) % 2
    made = lw.fit(digits_run, labels=(images, labels), out="c", progress=False)
    assert made.info["counts"] == [20, 20]
    assert made.info["labels"]["file"] is None
    found = lw.predict(made, images, progress=False)
    assert [int(row["label"]) for row in found.table] == labels.tolist()
    # They are not what is chosen from.
    chosen = lw.suggest(digits_run, "digits:test", labels=(images, labels), budget=3, progress=False)
    assert [each.strategy for each in chosen] == ["uncertain"] * 3
    others = lw.suggest(digits_run, images, labels={"0": "a", "1": "b"}, budget=38, progress=False)
    assert sorted(int(each.id) for each in others) == list(range(2, 40))


def test_a_class_with_one_label_is_kept_and_named(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = colour_table(colours, tmp_path / "labels.csv", 4)
    rows = [(row["file"], row["label"]) for row in rows_of(labels)]
    once = [*[row for row in rows if row[1] != "red"], next(row for row in rows if row[1] == "red")]
    fitted = answered(capsys, "fit", colours / "run", "--labels", table(labels, ["file", "label"], once), "--out", "c")
    assert fitted["counts"] == [4, 4, 1, 4]
    assert fitted["cross_validation"]["recall"][2] is None
    assert fitted["cross_validation"]["samples"] == 12
    assert (
        "red has one label: it is learned, but not cross-validated: that needs two labels of a class" in fitted["notes"]
    )
    predicted = answered(capsys, "predict", "c", colours / "all", "--out", "p.csv")
    assert predicted["labels"]["red"] > 5
    few = [next(row for row in rows if row[1] == colour) for colour in ("red", "blue")]
    fitted = answered(capsys, "fit", colours / "run", "--labels", table(labels, ["file", "label"], few), "--out", "c")
    assert fitted["cross_validation"] is None
    assert "nothing could be cross-validated: how accurate the classifier is, is not known" in fitted["notes"]


def test_what_cannot_be_written_is_said(
    digits_run: Path, digits_classifier: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shutil.copytree(digits_classifier, "c")
    table(Path("few.csv"), ["id", "label"], [(id, "ab"[id % 2]) for id in range(8)])
    Path("p.csv").write_text("mine")
    for name in ("p.txt", "p"):
        message = refused(capsys, "predict", "c", "digits:test", "--out", name)
        assert message == f"out must end in .parquet, .csv or .jsonl, got {name}"
    assert refused(capsys, "suggest", digits_run, "--out", "s.txt") == "out must end in .csv, got s.txt"
    from likewise.evaluation import predictions

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "replacing", full)
        message = refused(capsys, "predict", "c", "digits:test", "--out", "p.csv", "--no-progress")
        assert message == "could not write p.csv: the disk is full; what was there is kept"
        message = refused(capsys, "suggest", digits_run, "--out", "s.csv", "--budget", 2, "--no-progress")
        assert message == "could not write s.csv: the disk is full; what was there is kept"
        patch.setattr(Classifier, "save", full)
        message = refused(capsys, "fit", digits_run, "--labels", "few.csv", "--out", "d", "--no-progress")
        assert message == "could not write d: the disk is full; name another folder with --out"
    assert Path("p.csv").read_text() == "mine"
    lines(Path("not-a-folder"), ["x"])
    # Before anything is read: the labels that are named do not exist.
    message = refused(capsys, "fit", digits_run, "--labels", "no.csv", "--out", "not-a-folder/c", "--no-progress")
    assert message == "could not write not-a-folder/c: not a directory; name another folder with --out"
    message = refused(capsys, "predict", "c", "digits:test", "--out", "not-a-folder/p.csv", "--no-progress")
    assert "not-a-folder" in message


def test_a_damaged_classifier_is_named(
    digits_run: Path, digits_classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(digits_classifier, "c")
    kept = {path.name: path.read_bytes() for path in Path("c").iterdir()}
    asked = ("predict", "c", "digits:test", "--out", "p.csv")
    assert refused(capsys, "predict", digits_run, "digits:test", "--out", "p.csv") == (
        f"classifier must be a folder that `likewise fit` made, got {digits_run}, which is a run: "
        "`likewise fit RUN --labels LABELS` makes one"
    )
    Path("c/head.safetensors").write_bytes(kept["head.safetensors"][:-4])
    assert refused(capsys, *asked).startswith("c/head.safetensors can't be loaded: ValueError: it is not the one that")
    Path("c/head.safetensors").write_bytes(kept["head.safetensors"])
    info = json.loads(kept["classifier.json"])
    for change, said in (
        ({"temperature": 0}, "temperature must be a finite number from 1e-09 to 1,000,000,000.0, got 0"),
        ({"classes": ["a"]}, "counts must have an entry for each of the 1 classes, got 10"),
        ({"threshold": "x"}, "threshold must be a finite number from 0 to 1, got 'x'"),
        ({"encoder": info["encoder"] | {"dim": 3}}, "weight must be finite float32 of shape (10, 3)"),
        ({"classes": []}, "classes must be given for classification"),
    ):
        Path("c/classifier.json").write_text(json.dumps(info | change))
        assert said in refused(capsys, *asked)
    Path("c/classifier.json").write_text("[" * 1000)
    assert "c/classifier.json can't be read" in refused(capsys, *asked)


def test_what_to_label_next(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answered(capsys, "suggest", colours / "run", "--budget", 8, "--out", "s.csv")
    assert found["out"] == "s.csv"
    assert [each["rank"] for each in found["samples"]] == list(range(1, 9))
    assert {each["strategy"] for each in found["samples"]} == {"typical"}
    assert len({each["id"].partition("-")[2] for each in found["samples"]}) == 4  # every colour
    rows = rows_of(Path("s.csv"))
    assert [row["id"] for row in rows] == [each["id"] for each in found["samples"]]
    # Filled in, it is a table of labels.
    filled = [(row["id"], row["id"].partition("-")[2].removesuffix(".png")) for row in rows]
    labels = table(tmp_path / "filled.csv", ["id", "label"], filled)
    fitted = answered(capsys, "fit", colours / "run", "--labels", labels, "--out", "c")
    assert fitted["labels"]["samples"] == 8

    again = answered(capsys, "suggest", colours / "run", colours / "all", "--labels", labels, "--budget", 4)
    assert not {each["id"] for each in again["samples"]} & {name for name, _ in filled}
    assert all(each["predicted"] in fitted["classes"] for each in again["samples"])
    more = colour_table(colours, tmp_path / "more.csv", 10)
    unsure = answered(capsys, "suggest", colours / "run", "--labels", more, "--budget", 4)
    assert {each["strategy"] for each in unsure["samples"]} == {"uncertain"}
    assert not {each["id"] for each in unsure["samples"]} & {row["file"] for row in rows_of(more)}
    assert refused(capsys, "suggest", colours / "run", "--labels", more, "--budget", 41) == (
        "budget must be at most 40, as many samples of all have no label, got 41"
    )
    assert refused(capsys, "suggest", colours / "run", "--strategy", "uncertain") == (
        "strategy uncertain needs labels of at least two classes, one a sample: leave it out"
    )


def test_texts_by_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text file has no names: lines have numbers, and suggestions show the text."""
    texts = sentences(120, 0)
    lines(tmp_path / "said.txt", texts)
    lw.pretrain("said.txt", method="simcse", epochs=1, batch_size=32, out="run", precision="32-true", progress=False)
    found = answered(capsys, "suggest", "run", "--budget", 30, "--out", "s.csv")
    rows = rows_of(Path("s.csv"))
    assert [row["text"] for row in rows] == [texts[int(row["id"])] for row in rows]
    assert found["samples"][0]["text"] == rows[0]["text"]
    table(tmp_path / "labels.csv", ["id", "label"], [(row["id"], section(row["text"])) for row in rows])
    by_id = answered(capsys, "fit", "run", "--labels", "labels.csv", "--out", "c")
    assert by_id["labels"]["samples"] == 30
    # A table of texts and labels holds its samples itself.
    table(tmp_path / "texts.csv", ["text", "label"], [(row["text"], section(row["text"])) for row in rows])
    by_text = answered(capsys, "fit", "run", "--labels", "texts.csv", "--out", "d")
    assert by_text["counts"] == by_id["counts"]
    predicted = answered(capsys, "predict", "d", "texts.csv", "--out", "p.jsonl")
    assert predicted["measured"]["samples"] == 30
    # What has a label is not suggested, in whatever table the label is.
    table(tmp_path / "all.csv", ["text", "label"], [(text, section(text)) for text in dict.fromkeys(texts[:100])])
    left = len([text for text in texts if text not in texts[:100]])
    assert refused(capsys, "suggest", "run", "--labels", "all.csv", "--budget", 90).startswith(
        f"budget must be at most {left}, as many samples of said have no label, got 90"
    )
    assert refused(capsys, "suggest", "run", "all.csv", "--labels", "all.csv", "--budget", 1).startswith(
        "budget must be at most 0, as many samples of all have no label, got 1"
    )
    table(tmp_path / "wrong.csv", ["id", "label"], [("9999", "low"), ("x", "high")])
    assert refused(capsys, "fit", "run", "--labels", "wrong.csv", "--out", "e").startswith(
        "labels: no id in wrong.csv is of a sample of said: the first is '9999', those of the samples begin with '0'"
    )
    given = {row["id"]: section(row["text"]) for row in rows}
    assert lw.fit("run", labels=given, out="f", progress=False).info["counts"] == by_id["counts"]


def test_an_encoder_of_pairs_takes_one_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What has learned from pairs is fitted to images, and then predicts images, of pairs too."""
    captioned(tmp_path / "pairs", 40)
    how: dict[str, Any] = {"method": "clip", "batch_size": 16, "epochs": 1, "precision": "32-true", "progress": False}
    lw.pretrain("pairs", out="run", **how)
    by_colour(tmp_path / "colours", 24, seed=3)
    fitted = answered(capsys, "fit", "run", "--labels", "colours", "--out", "c")
    assert fitted["encoder"]["modality"] == "image"
    predicted = answered(capsys, "predict", "c", "pairs", "--out", "p.csv")
    assert predicted["rows"] == 40
    assert len(predicted["labels"]) > 1
    assert refused(capsys, "predict", "c", "pairs", "--out", "p.csv", "--modality", "pair", "--no-progress").startswith(
        "data must be image samples, as those that c has learned from, got pairs, which is pair"
    )
    assert len(answered(capsys, "suggest", "run", "--budget", 3)["samples"]) == 3


def test_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes(tmp_path / "rec", 32)
    how: dict[str, Any] = {"method": "cola", "batch_size": 8, "epochs": 1, "precision": "32-true", "progress": False}
    lw.pretrain("rec", out="run", **how)
    names = sorted(path.relative_to(tmp_path / "rec") for path in (tmp_path / "rec").rglob("*.wav"))
    table(tmp_path / "l.csv", ["recording", "timbre"], [(name.stem, name.parent) for name in names[::2]])
    fitted = answered(capsys, "fit", "run", "--labels", "l.csv", "--out", "c", "--accuracy", 0.6)
    assert fitted["counts"] == [4, 4, 4, 4]
    assert fitted["classes"][0] == "timbre a"
    assert fitted["cross_validation"]["abstaining"]["accuracy"] is not None
    predicted = answered(capsys, "predict", "c", "rec", "--out", "p.parquet")
    assert predicted["measured"]["samples"] == 32
    assert predicted["measured"]["accuracy"]["mean"] > 0.5
    assert pq.read_table("p.parquet").column("id").to_pylist() == [name.as_posix() for name in names]


def test_no_classifier_from_elsewhere_ends_in_a_traceback(digits_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 17, (40, 8, 8)).astype(np.uint8)
    images[::2, :, :4] = 0
    lw.fit(digits_run, labels=(images, np.arange(40) % 2), out="c", coverage=0.9, progress=False)
    np.save("x.npy", images[:4])
    kept = {path.name: path.read_bytes() for path in Path("c").iterdir()}
    asked = "predict c x.npy --out p.csv --no-progress".split()

    def answer() -> tuple[int, str]:
        capsys.readouterr()
        status = main(asked)
        return status, capsys.readouterr().err

    status, said = answer()
    assert (status, said) == (0, f"the encoder of {digits_run.resolve()}, which c/classifier.json names\n")
    refusals = 0
    for what, document in wrong_documents(json.loads(kept["classifier.json"]), 60, seed=0):
        Path("c/classifier.json").write_text(json.dumps(document))
        status, said = answer()
        assert status in (0, 2), f"{what}: {said}"
        refusals += status == 2
    assert refusals > 30
    Path("c/classifier.json").write_bytes(kept["classifier.json"])
    draw = random.Random(0)
    for name, content in kept.items():
        for _ in range(10):
            Path("c", name).write_bytes(damaged(content, draw))
            status, said = answer()
            assert status in (0, 2), f"{name}: {said}"
        Path("c", name).write_bytes(content)
