"""Recordings with transcripts, from the table to the page, as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import likewise as lw
from likewise.cli import main
from likewise.runs.evaluation import Evaluation
from small_data import SAMPLE_RATE
from small_files import documents, lines, spelled, table
from typed_commands import answered

pytestmark = pytest.mark.usefixtures("working_folder")
Text = pytest.CaptureFixture[str]
QUICK = "--labelled 4 all --seeds 2 --steps 2 --no-progress".split()


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of wav2vec 2.0 on a folder `speech` of 24 recordings, beside which the folder and `said.csv` lie."""
    folder = tmp_path_factory.mktemp("wav2vec2")
    rows = spelled(folder / "speech", 24)
    table(folder / "said.csv", ["file", "transcript"], [(name, f"{text.upper()}.") for name, text in rows])
    words = f"pretrain {folder / 'speech'} --method wav2vec2 --encoder wav2vec2-tiny --seconds 0.4 --epochs 1"
    quick = f"--batch-size 16 --precision 32-true --out {folder / 'run'} --no-progress"
    assert main([*words.split(), *quick.split()]) == 0
    return folder


def test_what_is_said_in_the_recordings_of_a_run(heard: Path, capsys: Text) -> None:
    said = heard / "said.csv"
    extra = [("gone.wav", "A"), ("lost.wav", "B")]
    lines(Path("said.csv"), [*said.read_text().splitlines()[:-2], *map(",".join, extra), "22.wav,..."])
    result = answered(capsys, "evaluate", heard / "run", "--transcripts", "said.csv", *QUICK[:-1])
    assert result["samples"] == {"train": 18, "test": 4}
    found = result["recognition"]
    assert found["protocols"] == ["scratch", "frozen", "fine-tuned", "untrained", "raw-ctc"]
    assert found["characters"] == " abcd"
    assert found["left_out"] == [["22.wav", "its transcript is empty"], ["23.wav", "no transcript"]]
    assert len(found["trials"]) == 5 * 2 * 2
    row = found["summary"][0]
    assert {name: row[name] for name in ("protocol", "labelled", "measure", "seeds")} == {
        "protocol": "scratch", "labelled": 4, "measure": "cer", "seeds": 2,
    }  # fmt: skip
    trials = [t["cer"] for t in found["trials"] if (t["protocol"], t["labelled"]) == ("scratch", 4)]
    assert row["mean"] == pytest.approx(np.mean(trials))
    paired = {(row["protocol"], row["versus"]) for row in found["differences"]}
    assert paired == {(a, b) for a in ("frozen", "fine-tuned") for b in ("scratch", "untrained", "raw-ctc")}
    assert "The encoder has learned from samples of speech:test, without their labels." in result["notes"]
    assert result["command"].endswith("--transcripts said.csv --labelled 4 all --seeds 2 --steps 2")

    assert main(["evaluate", str(heard / "run"), "--transcripts", "said.csv", *QUICK[:-1]]) == 0
    out, err = capsys.readouterr()
    assert "2 of 25 rows of said.csv name no file of the data: row 23 'gone.wav', row 24 'lost.wav'" in err
    assert "1 of 24 recordings left out, the first 22.wav: its transcript is empty" in err
    assert "1 of 24 recordings left out, the first 23.wav: no transcript" in err
    assert "a fifth of the 22 recordings with transcripts is held out for the test" in err
    assert "character error rate on speech:test, %" in out
    assert "Always the commonest transcript" in out

    assert main(["report", str(heard / "run")]) == 0
    page = (heard / "run" / "report.html").read_text()
    for text in (
        "Speech recognition</h2>",
        "Word error rate",
        "With 4 transcripts the frozen encoder gets",
        "2 recordings are",
    ):
        assert text in page
    example = found["examples"]["recordings"][0]
    assert f'{example["id"]}</th><td class="name">{example["reference"]}</td>' in page
    kept = json.loads((heard / "run" / "evaluation.json").read_text())["recognition"]
    assert kept["summary"] == found["summary"]  # the same seed, the same bits


def test_data_of_its_own_and_a_split_of_it(heard: Path, capsys: Text) -> None:
    rows = [(f"train/{name}", text) for name, text in spelled(Path("others/train"), 8, seed=1)]
    rows += [(f"test/{name}", text) for name, text in spelled(Path("others/test"), 4, seed=2)]
    table(Path("others/metadata.csv"), ["file_name", "transcription"], rows)
    words = ["--transcripts", "others/metadata.csv", "--labelled", "4", *QUICK[3:], "--protocols", "frozen"]
    result = answered(capsys, "evaluate", heard / "run", "--train", "others", *words)
    assert result["samples"] == {"train": 8, "test": 4}
    assert "notes" not in result or not any("learned from samples" in note for note in result["notes"])
    # The table of the recordings is that of their transcripts, with other columns.
    table(Path("table.csv"), ["path", "sentence", "label"], [(f"others/{p}", text, "x") for p, text in rows])
    words = ["--transcripts", "table.csv", "--labelled", "4", *QUICK[3:], "--protocols", "raw-ctc"]
    again = answered(capsys, "evaluate", heard / "run", "--train", "table.csv", *words)
    assert sum(again["samples"].values()) == 12
    explicit = answered(
        capsys, "evaluate", heard / "run", "--train", "others:train", "--test", "others/test",
        "--transcripts", "others/metadata.csv", "--labelled", "4", *QUICK[3:], "--protocols", "frozen",
    )  # fmt: skip
    assert explicit["recognition"]["summary"] == result["recognition"]["summary"]


def test_error_rates_of_runs_side_by_side(heard: Path, capsys: Text) -> None:
    runs = [Path(name) for name in ("first", "other", "fewer")]
    for run in (runs[0], runs[2]):
        shutil.copytree(heard / "run", run)
    lw.pretrain(heard / "speech", method="wav2vec2", encoder="wav2vec2-tiny", seconds=0.4, epochs=1, batch_size=16,
                precision="32-true", seed=5, out=runs[1], progress=False)  # fmt: skip
    lines(Path("fewer.csv"), (heard / "said.csv").read_text().splitlines()[:-4])
    for run, said in zip(runs, (heard / "said.csv", heard / "said.csv", "fewer.csv"), strict=True):
        answered(capsys, "evaluate", run, "--transcripts", said, *QUICK[:-1], "--protocols", "frozen")
    found = answered(capsys, "compare", *runs)
    assert (found["labelled"], found["labels_per_class"], found["differences"]) == (4, None, [])
    one, other = (lw.open_run(run).evaluation.recognition for run in runs[:2])
    assert found["runs"][1]["errors"]["frozen"]["wer"]["mean"] == other.summary("frozen", 4, "wer")["mean"]
    assert {(r["run"], r["protocol"], r["measure"], r["seeds"]) for r in found["error_differences"]} == {
        (str(runs[1]), "frozen", measure, 2) for measure in ("cer", "wer")
    }  # the third has learned from other recordings
    for row in found["error_differences"]:
        means = [np.mean([t[row["measure"]] for t in each["trials"] if t["labelled"] == 4]) for each in (one, other)]
        assert row["mean"] == pytest.approx(means[1] - means[0])
    assert main(["compare", *map(str, runs)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "character" in told
    assert "4 transcripts" in told


def test_a_study_measures_speech_recognition(heard: Path, capsys: Text) -> None:
    how = "--method wav2vec2 --encoder wav2vec2-tiny --seconds 0.4 --epochs 1 --batch-size 16 --precision 32-true"
    words = ["study", heard / "speech", "--transcripts", heard / "said.csv", *how.split(), *QUICK[:-1]]
    told = refused(capsys, *words[:3], "missing.csv", *words[4:], "--out", "none")
    assert "missing.csv" in told
    needless = refused(capsys, *words, "--labels-per-class", "4", "--out", "none")
    assert "--labels-per-class has no effect with --transcripts: give --labelled" in needless
    assert "protocols must, with transcripts, be some of" in refused(
        capsys, *words, "--protocols", "knn", "--out", "none"
    )
    assert not Path("none").exists()  # mistakes are reported before the training
    result = answered(capsys, *words, "--protocols", "frozen", "--text-column", "transcript", "--out", "studied")
    assert result["recognition"]["protocols"] == ["frozen"]
    assert result["recognition"]["labelled"] == [4, "all"]
    assert "Speech recognition</h2>" in Path("studied/report.html").read_text()
    again = answered(
        capsys, "evaluate", "studied", "--transcripts", heard / "said.csv", *QUICK[:-1], "--protocols", "frozen"
    )
    assert again["recognition"]["summary"] == result["recognition"]["summary"]


def test_from_python(heard: Path) -> None:
    result = lw.evaluate(
        heard / "run",
        train=heard / "speech",
        transcripts=heard / "said.csv",
        labelled=[4],
        seeds=1,
        steps=1,
        protocols=["frozen"],
        progress=False,
    )
    assert isinstance(result, Evaluation)
    assert result.recognition is not None
    assert result.recognition.counts == [4]
    assert "character error rate" in str(result)
    assert lw.open_run(heard / "run").evaluation == result


def test_long_recordings_are_left_out(heard: Path, capsys: Text) -> None:
    rows = spelled(Path("speech"), 6)
    soundfile.write("speech/long.wav", np.random.default_rng(0).normal(0, 0.1, 31 * SAMPLE_RATE), SAMPLE_RATE)
    table(Path("said.csv"), ["file", "text"], [*rows, ("long.wav", "abc")])
    words = ["--train", "speech", "--transcripts", "said.csv", "--labelled", "4", "--protocols", "raw-ctc", *QUICK[3:]]
    result = answered(capsys, "evaluate", heard / "run", *words)
    reason = "longer than 30 s: its transcript is of the whole"
    assert result["recognition"]["left_out"] == [["long.wav#0s", reason], ["long.wav#16s", reason]]


def test_a_test_part_that_was_held_out_by_labels_stays_unseen(capsys: Text) -> None:
    rows = [*spelled(Path("speech/one"), 10), *spelled(Path("speech/two"), 10, seed=1)]
    named = [(f"{folder}/{name}", text) for folder, (name, text) in zip(["one"] * 10 + ["two"] * 10, rows, strict=True)]
    table(Path("said.csv"), ["file", "text"], named)
    words = "pretrain speech:train --method cola --seconds 0.4 --epochs 1 --batch-size 8 --out run --no-progress"
    assert main(words.split()) == 0
    words = "--transcripts said.csv --labelled 4 --protocols raw-ctc"
    result = answered(capsys, "evaluate", "run", *words.split(), *QUICK[3:])
    assert (result["train"], result["test"]) == ("speech:train", "speech:test")
    assert result["samples"] == {"train": 16, "test": 4}
    assert not any("learned from samples" in note for note in result.get("notes", []))


def refused(capsys: Text, *words: object) -> str:
    """The one line of a mistake."""
    capsys.readouterr()
    assert main([*map(str, words)]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    return err[-1]


def test_mistakes_are_one_line(heard: Path, capsys: Text) -> None:
    run, said = heard / "run", heard / "said.csv"
    asked = ["evaluate", run, "--transcripts", said, "--no-progress"]
    assert "--labels-per-class has no effect with --transcripts: give --labelled" in refused(
        capsys, *asked, "--labels-per-class", 1
    )
    assert "--minutes has no effect with --transcripts: leave it out" in refused(capsys, *asked, "--minutes", 1)
    assert "modality must be audio with --transcripts, got 'text'" in refused(capsys, *asked, "--modality", "text")
    assert "--labelled applies to recordings with --transcripts" in refused(capsys, "evaluate", run, "--labelled", 4)
    assert "labelled must be at most 19, or 'all', got 99" in refused(capsys, *asked, "--labelled", 99)
    assert "protocols must, with transcripts, be some of scratch, frozen" in refused(
        capsys, *asked, "--protocols", "raw-knn"
    )
    assert "as-given needs a run that went on from known weights" in refused(capsys, *asked, "--protocols", "as-given")
    assert "there is no file" in refused(capsys, "evaluate", run, "--transcripts", "gone.csv")
    table(Path("other.csv"), ["file", "transcript"], [("x.wav", "a")])
    assert "no row of other.csv names a file of speech" in refused(
        capsys, "evaluate", run, "--transcripts", "other.csv"
    )
    table(Path("empty.csv"), ["file", "transcript"], [("00.wav", "..."), ("01.wav", "")])
    assert "transcripts must be of recordings of speech, got none that can be used" in refused(
        capsys, "evaluate", run, "--transcripts", "empty.csv"
    )
    table(Path("one.csv"), ["file", "transcript"], [("00.wav", "a")])
    assert "one recording with a transcript" in refused(capsys, "evaluate", run, "--transcripts", "one.csv")
    spelled(Path("x"), 3)
    table(Path("two.csv"), ["file", "transcript"], [("speech/00.wav", "a"), ("x/00.wav", "z")])
    train, test = ["--train", heard / "speech"], ["--test", "x"]
    rows = [*[(heard / "speech" / f"{i:02}.wav", "ab") for i in range(5)], *[(f"x/0{i}.wav", "yz") for i in range(3)]]
    table(Path("both.csv"), ["file", "transcript"], rows)
    assert "must have characters in common, got none: 'ab' and 'yz'" in refused(
        capsys, "evaluate", run, *train, *test, "--transcripts", "both.csv"
    )
    assert "train and test are both" in refused(capsys, *asked, *train, "--test", heard / "speech")


def test_a_run_of_another_modality(capsys: Text) -> None:
    words = f"pretrain {documents(Path('texts.csv'), 24)} --method simcse --epochs 1 --out run --no-progress"
    assert main([*words.split(), "--batch-size", "8", "--vocab-size", "200"]) == 0
    table(Path("said.csv"), ["file", "transcript"], [("00.wav", "a")])
    line = refused(capsys, "evaluate", "run", "--transcripts", "said.csv")
    assert "--transcripts applies to recordings, but run has learned from text" in line
