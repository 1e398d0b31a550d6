"""Images and recordings whose labels are in tables, as a user types it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import likewise as lw
from likewise.cli import main
from small_files import notes, square, table
from typed_commands import answered

pytestmark = pytest.mark.usefixtures("working_folder")
QUICK = "--epochs 1 --batch-size 16 --precision 32-true --encoder resnet8 --out run".split()
EVALUATION = "--labels-per-class 2 --seeds 1 --protocols raw-knn".split()
COLOURS = ["red", "green", "blue"]


def images(count: int = 60) -> list[tuple[str, str]]:
    """Pictures of squares in `images/`: (name, colour)."""
    for i in range(count):
        square(Path("images", f"ISIC_{i:03d}.png"), COLOURS[i % 3], 6, seed=i)
    return [(f"ISIC_{i:03d}", COLOURS[i % 3]) for i in range(count)]


def test_a_table_of_image_paths_is_images_with_labels(capsys: pytest.CaptureFixture[str]) -> None:
    table(Path("labels.csv"), ["image", "label"], [(f"images/{name}.png", colour) for name, colour in images()])
    assert main(["pretrain", "labels.csv:train", *QUICK]) == 0
    err = capsys.readouterr().err
    assert "images are column 'image', labels are column 'label'" in err
    assert "labels:train: 48 samples\n  3 classes: blue 16, green 16, red 16\n" in err
    assert "  sample 1: [red] images/ISIC_000.png\n" in err
    config = json.loads(Path("run/config.json").read_text())
    assert (config["source"]["modality"], config["recipe"]["method"]) == ("image", "simclr")
    result = answered(capsys, "evaluate", "run", *EVALUATION)
    assert result["classes"] == ["blue", "green", "red"]
    assert result["samples"] == {"train": 48, "test": 12}
    assert main("embed run labels.csv --out vectors.parquet".split()) == 0
    assert pq.read_table("vectors.parquet")["label"].to_pylist()[:4] == ["red", "green", "blue", "red"]
    found = answered(capsys, "search", "run", "labels.csv", "--image", "images/ISIC_004.png", "--top", 1)
    assert found["matches"][0]["id"] == "images/ISIC_004.png"


def test_a_table_of_image_names_without_endings(capsys: pytest.CaptureFixture[str]) -> None:
    table(Path("meta.csv"), ["image_id", "dx", "age"], [(*row, 40 + i % 9) for i, row in enumerate(images())])
    assert main(["pretrain", "meta.csv:train", "--label-column", "dx", *QUICK]) == 0
    assert "images are column 'image_id', labels are column 'dx'" in capsys.readouterr().err
    result = answered(capsys, "evaluate", "run", *EVALUATION)  # the run knows its column
    assert result["classes"] == ["blue", "green", "red"]
    assert result["samples"] == {"train": 48, "test": 12}


def test_a_folder_with_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    names = images()
    table(Path("images/metadata.csv"), ["file_name", "label"], [(f"{name}.png", colour) for name, colour in names])
    assert main(["pretrain", "images:train", *QUICK]) == 0
    assert "labels are column 'label' of metadata.csv, which names the images" in capsys.readouterr().err
    assert answered(capsys, "evaluate", "run", *EVALUATION)["samples"] == {"train": 48, "test": 12}


def test_labels_of_a_folder_in_a_table_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"{name}.png", colour) for name, colour in images()][:30]
    table(Path("labels.csv"), ["file", "kind"], [*rows, ("gone.png", "red"), ("lost.png", "red")])
    words = ["--labels", "labels.csv"]
    assert main(["pretrain", "images", *words, *QUICK]) == 0
    err = capsys.readouterr().err
    assert "labels are column 'kind' of labels.csv, which names the images in column 'file'" in err
    assert "2 of 32 rows of labels.csv name no file of images: row 31 'gone.png', row 32 'lost.png'" in err
    assert "labels: 30 of 60 images" in err
    assert main(["pretrain", "images:train", *words, *QUICK[:-1], "held-in"]) == 0
    result = answered(capsys, "evaluate", "held-in", *EVALUATION)
    assert result["samples"] == {"train": 24, "test": 6}
    assert "labels of images:train: 24 of 54 samples; the others are left out." in result["notes"]
    explicit = ["--train", "images:train", "--test", "images:test", *words]
    assert answered(capsys, "evaluate", "run", *explicit, *EVALUATION)["samples"] == result["samples"]
    assert main(["embed", "run", "images", *words, "--out", "vectors.parquet"]) == 0
    labels = pq.read_table("vectors.parquet")["label"].to_pylist()
    assert labels == [colour for _, colour in rows] + [None] * 30
    capsys.readouterr()
    # A run's table of labels is not that of other data.
    Path("images").rename("others")
    assert main("embed run others --out vectors.parquet".split()) == 0
    assert "label" not in pq.read_table("vectors.parquet").column_names


@pytest.mark.slow
@pytest.mark.parametrize("words", ["labels.csv", "images --labels meta.csv --label-column dx"])
def test_study_takes_the_same_options(words: str) -> None:
    rows = images()
    table(Path("labels.csv"), ["image", "label"], [(f"images/{name}.png", colour) for name, colour in rows])
    table(Path("meta.csv"), ["image_id", "dx", "age"], [(*row, 40 + i % 9) for i, row in enumerate(rows)])
    table(Path("images/metadata.csv"), ["file_name", "label"], [(f"{name}.png", colour) for name, colour in rows])
    assert main(["study", *words.split(), *QUICK, "--labels-per-class", "2", "--seeds", "1"]) == 0
    result = json.loads(Path("run/evaluation.json").read_text())
    assert (result["classes"], result["samples"]) == (["blue", "green", "red"], {"train": 48, "test": 12})


def test_recordings_with_labels_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    folder = notes(Path("notes"), 24)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.wav"))
    table(
        Path("labels.csv"), ["file", "label"], [(file.name, "even" if i % 2 else "odd") for i, file in enumerate(files)]
    )
    words = "--epochs 1 --batch-size 8 --precision 32-true --out run".split()
    assert main(["pretrain", "notes", "--labels", "labels.csv", *words]) == 0
    err = capsys.readouterr().err
    assert "labels are column 'label' of labels.csv, which names the recordings" in err
    assert "  2 classes: even 12, odd 12\n" in err


def test_paths_from_python(tmp_path: Path) -> None:
    names = images(20)
    paths: list[str | Path] = [f"images/{name}.png" for name, _ in names]
    paths[1], paths[3] = Path(paths[1]), tmp_path / "gone.png"
    quick = {"epochs": 1, "batch_size": 8, "encoder": "resnet8", "precision": "32-true", "progress": False}
    run = lw.pretrain(paths, out="run", **quick)
    assert run.config["source"]["modality"] == "image"
    assert run.config["source"]["samples"] == 19
    with Path("run/skipped.csv").open() as file:
        assert list(csv.reader(file))[1:] == [[str(tmp_path / "gone.png"), "No such file or directory"]]
    vectors = lw.embed(
        run, ([path for i, path in enumerate(paths) if i != 3][:4], ["a", None, "b", "a"]), progress=False
    )
    assert vectors.labels == ["a", None, "b", "a"]
    assert vectors.ids[0] == "images/ISIC_000.png"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pretrain plain --label-column label", "--label-column applies to tables (.csv .tsv .jsonl .parquet), not to"),
        ("pretrain images.csv --labels images.csv", "--labels applies to folders, not to images.csv: leave it out"),
        ("pretrain digits --labels images.csv", "--labels applies to folders, not to digits: leave it out"),
        ("pretrain plain --labels gone.csv", "there is no file "),
        (
            "pretrain plain --labels plain/a.png",
            "labels must be a table of files and labels (.csv .tsv .jsonl .parquet)",
        ),
        ("pretrain plain --labels other.csv", "labels: no row of "),
        ("pretrain plain --labels bare.csv", "/bare.csv must name its columns in its first line"),
        ("pretrain plain --labels twice.csv", "/twice.csv: row 2 gives a.png the label 'dog', an earlier one 'cat'"),
        ("pretrain plain --labels wide.csv", "label_column: say which column of "),
        ("pretrain plain --labels wide.csv --label-column file", "label_column must be another column of "),
        ("pretrain images.csv --method bert", "images.csv has no column of text: 'image' and 'label' has paths"),
    ],
)
def test_what_does_not_fit_is_refused(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcdefgh":
        square(Path("plain", f"{name}.png"), "red", 6, seed=ord(name))
    table(Path("images.csv"), ["image", "label"], [(f"plain/{name}.png", "a.png") for name in "abcdefgh"])
    table(Path("other.csv"), ["file", "label"], [("x.png", "cat"), ("y.png", "dog")])
    table(Path("bare.csv"), ["a.png", "cat"], [("b.png", "cat"), ("c.png", "dog")])
    table(Path("twice.csv"), ["file", "label"], [("a.png", "cat"), ("plain/a.png", "dog")])
    table(Path("wide.csv"), ["file", "what", "who"], [("a.png", "cat", "me"), ("b.png", "dog", "me")])
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (err.count("\n"), out) == (1, "")
