"""Recordings, from the folder to the page: as a user types it, and from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import likewise as lw
from likewise.cli import main
from small_data import SAMPLE_RATE, recordings
from small_files import notes, table
from typed_commands import answered

Text = pytest.CaptureFixture[str]

QUICK = "--batch-size 16 --seconds 0.2 --precision 32-true".split()


pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of COLA on a folder of notes, beside which the folder lies."""
    folder = tmp_path_factory.mktemp("cola")
    words = f"pretrain {notes(folder / 'notes', 64)} --method cola --epochs 3 --out {folder / 'run'} --no-progress"
    assert main([*words.split(), *QUICK]) == 0
    return folder / "run"


def test_an_evaluation_of_labelled_recordings(heard: Path, capsys: Text) -> None:
    notes(Path("others"), 32, seed=1)
    words = "--test others --labels-per-class 2 --seeds 2 --steps 3 --no-progress"
    result = answered(capsys, "evaluate", heard, "--train", heard.parent / "notes", *words.split())
    assert result["classes"] == [f"timbre {name}" for name in "abcd"]
    assert result["raw"] == "log-mel"
    accuracy = {row["protocol"]: row["mean"] for row in result["summary"]}
    assert set(accuracy) >= {"scratch", "frozen", "fine-tuned", "untrained", "raw-logistic"}
    assert accuracy["frozen"] > 0.4  # of four classes
    [found] = result["tables"]
    assert found["title"] == "retrieval of the end of a recording by its beginning"
    assert [row[0] for row in found["rows"]] == ["encoder", "untrained", "log-mel", "chance"]
    recall = {row[0]: row[1] for row in found["rows"]}
    assert recall["chance"] == pytest.approx(1 / 32)
    assert recall["encoder"] > 5 * recall["chance"]

    assert main(["report", str(heard)]) == 0
    page = (heard / "report.html").read_text()
    for said in (
        "<audio controls",
        "data:audio/wav;base64,",
        "timbre b",
        "end of a recording by its beginning",
        "regression on log-mel",
    ):
        assert said in page
    with np.load(heard / "pairs.npz") as pairs:
        assert pairs["first_sounds"].shape == (8, round(0.2 * SAMPLE_RATE))
        assert pairs["first"].ndim == 4  # their spectrograms
        assert pairs["first_sample_rate"] == SAMPLE_RATE
        assert not np.array_equal(pairs["first_sounds"], pairs["second_sounds"])
    with np.load(heard / "gallery.npz") as gallery:
        assert len(gallery["pictures"]) == len(gallery["embeddings"]) == 32


def test_a_recording_is_found_again(heard: Path, capsys: Text) -> None:
    folder = heard.parent / "notes"
    asked = folder / "timbre c" / "14.wav"
    words = ("search", heard, folder, "--audio", asked, "--top", 2, "--sheet", "found.html")
    found = answered(capsys, *words)["matches"]
    assert Path("found.html").read_text().count('<audio controls preload="metadata" src="data:audio/wav') == 3
    assert found[0]["id"] == "timbre c/14.wav"
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-4)
    said = answered(capsys, "embed", heard, folder, "--out", "x.parquet", "--no-progress")
    assert said["rows"] == 64
    assert pq.read_table("x.parquet")["label"].to_pylist()[:16] == ["timbre a"] * 16
    kept = answered(capsys, "search", heard, "x.parquet", "--audio", asked, "--top", 2)["matches"]
    assert [match["id"] for match in kept] == [match["id"] for match in found]


def test_a_study_without_labels_ends_with_its_page(capsys: Text) -> None:
    (wave, *others), _ = recordings(17)
    Path("flat").mkdir()
    for i, each in enumerate(others):
        soundfile.write(f"flat/{i}.wav", each, SAMPLE_RATE)
    soundfile.write("flat/fast.flac", np.stack([np.repeat(wave, 4)] * 2, 1), 4 * SAMPLE_RATE)  # any rate, any channels
    assert main(["study", "flat", "--method", "cola", "--epochs", "1", *QUICK, "--out", "run"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[-2:] == [
        "flat has no labels to evaluate with: name some with --train and --test",
        "the page: run/report.html",
    ]
    assert out.startswith("run: ")
    assert Path("run/report.html").exists()
    assert lw.open_run("run").config["source"]["samples"] == 17
    assert lw.open_run("run").config["recipe"]["sample_rate"] == SAMPLE_RATE


@pytest.mark.parametrize("method", ["hubert", "best-rq"])
def test_masked_codes_from_the_folder_to_the_page(method: str) -> None:
    notes(Path("notes"), 16)
    words = f"pretrain notes --method {method} --epochs 2 --out run --no-progress"
    assert main([*words.split(), *QUICK]) == 0
    last = lw.open_run("run").history.rows[-1]
    assert last["code_perplexity"] > 2
    assert last["by_frequency"] > 1
    assert 0 <= last["accuracy"] <= 1
    assert main(["report", "run"]) == 0
    page = Path("run/report.html").read_text()
    assert "Masked spans" in page
    assert "Of 9 frames" in page


def test_what_cannot_be_heard_is_listed_not_fatal(capsys: Text) -> None:
    notes(Path("notes"), 16)
    soundfile.write("notes/empty.wav", np.zeros(0, np.float32), SAMPLE_RATE)
    soundfile.write("notes/nan.wav", np.full(99, np.nan, np.float32), SAMPLE_RATE, subtype="FLOAT")
    soundfile.write("notes/silent.wav", np.zeros(999, np.float32), SAMPLE_RATE)
    Path("notes/nothing.wav").write_bytes(b"")
    Path("notes/broken.mp3").write_bytes(b"no recording")
    words = "pretrain notes --method wav2vec2 --encoder wav2vec2-tiny --epochs 1 --out run"
    assert main([*words.split(), *QUICK]) == 0, capsys.readouterr().err
    err = capsys.readouterr().err
    assert "notes: 17 samples, 4 files could not be read (see skipped.csv)" in err
    assert "1 of 17 recordings is silent" in err
    assert Path("run/skipped.csv").read_text().splitlines() == [
        "file,reason",
        "broken.mp3,\"not a recording of a known type, or its start is damaged\"",
        "empty.wav,no samples",
        "nan.wav,holds samples that are NaN or infinite",
        "nothing.wav,empty file",
    ]  # fmt: skip
    assert main(["report", "run"]) == 0
    page = Path("run/report.html").read_text()
    assert "holds samples that are NaN or infinite" in page
    assert "<audio controls" in page


def test_a_table_of_recordings_and_a_probe(capsys: Text) -> None:
    folder = notes(Path("notes"), 32)
    rows = [(path, path.parent.name) for path in sorted(folder.rglob("*.wav"))]
    table(Path("notes.csv"), ["path", "label"], rows)
    words = (
        "pretrain notes.csv --method simclr --modality audio --encoder mel-resnet8 --epochs 1 --probe notes --out run"
    )
    assert main([*words.split(), *QUICK]) == 0, capsys.readouterr().err
    run = lw.open_run("run")
    assert (run.modality, run.chance["probe"]) == ("audio", 0.25)
    assert len([row for row in run.history.rows if "probe" in row]) == 2


def test_arrays_and_their_labels_from_python() -> None:
    waves, classes = recordings(48)
    run = lw.pretrain(
        waves, method="cola", sample_rate=SAMPLE_RATE, seconds=0.2, epochs=1, batch_size=16, precision="32-true",
        out="run", progress=False,
    )  # fmt: skip
    result = lw.evaluate(
        run,
        train=(waves[:32], classes[:32]),
        test=(waves[32:], classes[32:]),
        labels_per_class=["all"],
        seeds=1,
        protocols=["frozen", "raw-logistic"],
        progress=False,
    )
    assert result["samples"] == {"train": 32, "test": 16}
    assert "log-mel" in str(result)
    assert lw.embed(run, waves, out="x.npy", progress=False).rows == 48
    with pytest.raises(lw.UserError, match="sample_rate must be given for recordings in memory"):
        lw.pretrain(waves, method="cola", out="again", progress=False)


def test_a_study_says_once_what_is_to_be_known_of_the_data(
    working_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes(Path("notes"), 32)
    for timbre in sorted(Path("notes").iterdir()):
        soundfile.write(timbre / "silent.wav", np.zeros(SAMPLE_RATE // 2, np.float32), SAMPLE_RATE)
    words = "study notes --epochs 1 --precision 32-true --labels-per-class 1 --seeds 1 --steps 2 --protocols frozen"
    assert main(words.split()) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "silent" in line]
    assert said
    assert len(said) == len(set(said))
