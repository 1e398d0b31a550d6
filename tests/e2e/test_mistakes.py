"""Every mistake of a user gets one line that names it and the remedy, exit status 2, no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise import api
from likewise.cli import main

Text = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "digits"
    api.pretrain("digits", epochs=1, precision="32-true", out=run, progress=False)
    return run


def refused(capsys: Text, *words: object) -> str:
    """The one line that a command is refused with."""
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("likewise: ")]
    assert status == 2, err
    assert len(lines) == 1
    assert err.splitlines()[-1] == lines[0]
    assert "Traceback" not in err
    assert out == ""
    return lines[0].removeprefix("likewise: ")


def pictures(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (i * 9 % 256, 0, 0)).save(path)
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pretrain digts", "'digts' is neither a known name nor an existing path, did you mean 'digits'?"),
        ("pretrain digits --method simclear", "unknown method 'simclear', did you mean 'simclr'?"),
        ("pretrain digits --encoder resnet19", "unknown encoder 'resnet19', did you mean 'resnet18'?"),
        ("pretrain digits --recipe stl10-simclear", "unknown recipe 'stl10-simclear', did you mean 'stl10-simclr'?"),
        ("pretrain digits --temprature 0.1", "unknown hyperparameter 'temprature', did you mean 'temperature'?"),
        ("pretrain digits --augment strnog", "unknown augmentation strength 'strnog', did you mean 'strong'?"),
        (
            "pretrain digits --temperature 0",
            "temperature must be a number above 0, FIRST:LAST, learned or learned:START, got 0",
        ),
        (
            "pretrain digits --temperature hot",
            "temperature must be a number above 0, FIRST:LAST, learned or learned:START, got 'hot'",
        ),
        ("pretrain digits --method moco-v2 --queue 100", "queue must be a multiple of the batch, 128, got 100"),
        ("pretrain digits --method moco-v2 --key-momentum 1.5", "key_momentum must be from 0 to 1, got 1.5"),
        ("pretrain digits --method swav --prototypes 1", "prototypes must be at least 2, got 1"),
        ("pretrain digits --batch 64 --micro-batch 48", "micro_batch must divide the batch, 64, got 48"),
        ("pretrain digits --projection-dim 0", "projection_dim must be at least 1, got 0"),
        ("pretrain digits --batch 1", "batch must be at least 2 for SimCLR, got 1"),
        ("pretrain digits --batch 2000", "batch 2000 is larger than the data: digits:train has 1297 samples"),
        ("pretrain digits --epochs 0", "epochs must be at least 1, got 0"),
        ("pretrain digits --rate -1", "rate must be above 0, got -1"),
        ("pretrain digits --optimizer adamm", "optimizer must be one of sgd, adam, adamw, lars, got 'adamm'"),
        ("pretrain digits --size 2", "size must be at least 4 px, got 2"),
        ("pretrain digits --precision 12", "precision must be auto,"),
        ("pretrain digits --devices many", "devices must be a whole number or auto, got 'many'"),
        ("pretrain digits --checkpoint-minutes 0", "checkpoint_minutes must be above 0, got 0"),
        ("pretrain digits:valid", "digits has no split 'valid'"),
        ("pretrain stl10", "the files of stl10 are missing: put "),
        ("pretrain digits --seed -1", "seed must be 0 or more, got -1"),
        ("pretrain digits --strategy foo", "this machine can't train with devices auto, strategy foo"),
        ("views digits --out picture", "out must end in .png, got picture"),
        ("evaluate runs/none", "no run folder runs/none"),
        ("report runs/none", "no run folder runs/none"),
        ("embed runs/none digits --out x.npy", "no run folder runs/none"),
    ],
)
def test_mistakes_in_one_command(words: str, message: str, capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.data import named

    def no_network(name: str, root: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr(named, "download", no_network)
    assert message in refused(capsys, *words.split())
    assert list(Path().glob("runs/*")) == []


def test_missing_files_of_a_named_set_are_named(capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    from likewise.data import named

    def no_network(name: str, root: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr(named, "download", no_network)
    line = refused(capsys, "pretrain", "stl10", "--root", "here")
    assert "here/stl10_binary" in line
    assert "unlabeled_X.bin" in line


def test_words_that_are_no_command(capsys: Text) -> None:
    assert 'Did you mean "pretrain"' in refused(capsys, "pretrian", "digits")
    assert "five" in refused(capsys, "pretrain", "digits", "--epochs", "five")


def test_an_unknown_recipe_key(capsys: Text, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("epoch: 3\n")
    line = refused(capsys, "pretrain", "digits", "--recipe", "mine.yaml")
    assert "recipe mine.yaml has no key 'epoch', did you mean 'epochs'?" in line


def test_folders_that_hold_too_little(capsys: Text, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.pdf").write_text("no picture")
    assert "empty holds no image or audio or text: it has 1 other files" in refused(capsys, "pretrain", "empty")
    pictures(tmp_path / "two", "a.png", "b.png")
    assert "two has 2 samples: training needs at least 8" in refused(capsys, "pretrain", "two")


def test_labels_in_one_class_only(capsys: Text, tmp_path: Path, finished: Path) -> None:
    train, test = (pictures(tmp_path / part, *(f"cat/{i}.png" for i in range(9))) for part in ("a", "b"))
    line = refused(capsys, "evaluate", finished, "--train", train, "--test", test)
    assert "cat" in line
    assert "one class" in line


def test_data_without_labels(capsys: Text, tmp_path: Path, finished: Path) -> None:
    train, test = (pictures(tmp_path / part, *(f"{i}.png" for i in range(9))) for part in ("a", "b"))
    assert "gives no labels" in refused(capsys, "evaluate", finished, "--train", train, "--test", test)


def test_testing_on_the_labels_that_were_trained_on(capsys: Text, finished: Path) -> None:
    line = refused(capsys, "evaluate", finished, "--train", "digits:test", "--test", "digits:test")
    assert line == "train and test are both digits:test: test on samples that no label was drawn from"


def test_a_study_is_told_its_mistakes_before_it_trains(capsys: Text) -> None:
    for words in ("--labels-per-class 1 1000", "--seeds 0", "--train labeld --test digits:test"):
        refused(capsys, "study", "digits", "--epochs", "100", *words.split())
        assert not Path("runs").exists()


def test_a_demo_removes_only_a_demo(capsys: Text, finished: Path) -> None:
    line = refused(capsys, "demo", "--out", finished)
    assert line == f"{finished} is another run, not a demo's: name another folder with --out"
    assert finished.exists()


def test_more_labels_than_there_are(capsys: Text, finished: Path) -> None:
    line = refused(capsys, "evaluate", finished, "--labels-per-class", "1", "1000")
    assert "1000" in line
    assert "labels_per_class" in line or "labels-per-class" in line
    assert "seeds" in refused(capsys, "evaluate", finished, "--seeds", "0")
    assert "did you mean 'frozen'" in refused(capsys, "evaluate", finished, "--ways", "frozn")


def test_a_run_folder_that_exists(capsys: Text, tmp_path: Path, finished: Path) -> None:
    line = refused(capsys, "pretrain", "digits", "--out", finished)
    assert f"{finished} exists: add --resume to go on with it, or name another folder with --out" in line
    pictures(tmp_path / "photos", "a.png")
    line = refused(capsys, "pretrain", "digits", "--out", "photos")
    assert line == "photos exists: name another folder with --out"


def test_resuming_something_else(capsys: Text, finished: Path) -> None:
    line = refused(capsys, "pretrain", "digits", "--epochs", "1", "--rate", "0.5", "--out", finished, "--resume")
    assert f"{finished} was begun with rate 0.002, not 0.5" in line
    assert "--out" in line
    for word, value, begun in (("temperature", "0.5", "0.2"), ("precision", "bf16-mixed", "'32-true'")):
        line = refused(capsys, "pretrain", "digits", "--epochs", "1", f"--{word}", value, "--out", finished, "--resume")
        assert f"was begun with {word} {begun}, not" in line
    line = refused(capsys, "pretrain", "digits:test", "--epochs", "1", "--out", finished, "--resume")
    assert "was begun with samples 1297, not 500" in line


def test_a_run_that_is_incomplete_or_not_ours(capsys: Text, tmp_path: Path, finished: Path) -> None:
    incomplete = shutil.copytree(finished, tmp_path / "incomplete")
    (incomplete / "encoder.safetensors").unlink()
    line = refused(capsys, "evaluate", incomplete)
    assert f"{incomplete} is not finished" in line
    assert "--resume" in line
    strange = tmp_path / "strange"
    strange.mkdir()
    assert "is not a run of likewise: it has no readable config.json" in refused(capsys, "report", strange)
    (strange / "config.json").write_text(json.dumps({"theme": "dark"}))
    assert "is not a run of likewise: its config.json is some other program's" in refused(capsys, "report", strange)


def test_a_corrupt_encoder(capsys: Text, tmp_path: Path, finished: Path) -> None:
    corrupt = shutil.copytree(finished, tmp_path / "corrupt")
    (corrupt / "encoder.safetensors").write_bytes(b"not weights")
    line = refused(capsys, "embed", corrupt, "digits", "--out", "x.npy")
    assert "encoder.safetensors can't be loaded" in line


def test_an_evaluation_that_would_test_on_what_was_learned_from(capsys: Text, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", *(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(9)))
    api.pretrain(folder, epochs=1, batch=8, precision="32-true", out="run", encoder="resnet8", progress=False)
    line = refused(capsys, "evaluate", "run")
    assert "the encoder has learned from all of photos: name labelled data that it has not seen with --train" in line
    assert f"likewise study {folder}" in line
    shutil.rmtree(folder)
    assert f"the data of run is no longer at {folder}" in refused(capsys, "evaluate", "run")


def test_embeddings_into_an_unknown_kind_of_file(capsys: Text, finished: Path) -> None:
    assert "out must end in .parquet or .npy, got x.csv" in refused(
        capsys, "embed", finished, "digits", "--out", "x.csv"
    )


def test_a_loss_that_is_no_number(capsys: Text, tmp_path: Path) -> None:
    line = refused(
        capsys, "pretrain", "digits", "--rate", "1e30", "--optimizer", "sgd", "--precision", "32-true", "--out", "r"
    )
    assert "NaN or infinite at step" in line
    assert "try a smaller --rate" in line
    assert not (tmp_path / "r" / "encoder.safetensors").exists()


def test_a_full_disk(capsys: Text, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import errno
    import os

    sync, allowed = os.fsync, [30]

    def full(file: int) -> None:
        if os.fstat(file).st_size > 1 << 20:  # the small files of a run fit, checkpoints fit once
            allowed[0] -= 30
            if allowed[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", full)
    line = refused(
        capsys,
        "pretrain",
        "digits",
        "--epochs",
        "2",
        "--precision",
        "32-true",
        "--checkpoint-minutes",
        "1e-9",
        "--out",
        "r",
    )
    assert "the disk is full; the last good checkpoint stays: r/checkpoints/step-00000001.ckpt" in line
    assert [path.name for path in Path("r/checkpoints").iterdir()] == ["step-00000001.ckpt"]


def test_a_place_that_may_not_be_written_to(capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from likewise.training.history import History

    def denied(self: History, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(History, "log_metrics", denied)
    line = refused(capsys, "pretrain", "digits", "--epochs", "1", "--precision", "32-true", "--out", "r")
    assert line == "could not write into r: the disk is full; there is no checkpoint yet; mend it, then --resume"


def test_debug_shows_the_traceback(capsys: Text) -> None:
    assert main(["report", "nowhere", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_says_so(capsys: Text, monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    import likewise.report

    def broken(path: Path) -> Path:
        raise KeyError("section")

    monkeypatch.setattr(likewise.report, "write_report", broken)
    assert main(["report", str(finished)]) == 1
    assert capsys.readouterr().err == "likewise: a fault of likewise, --debug shows where: KeyError: 'section'\n"


def test_pictures_that_cannot_be_read_are_listed_not_fatal(tmp_path: Path, capsys: Text) -> None:
    folder = pictures(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    (folder / "broken.jpg").write_bytes(b"no picture")
    np.save(folder / "ignored.npy", np.zeros(3))
    assert (
        main(["pretrain", str(folder), "--epochs", "1", "--encoder", "resnet8", "--precision", "32-true", "--out", "r"])
        == 0
    )
    assert "9 samples, 1 file could not be read (see skipped.csv)" in capsys.readouterr().err
    header, row = Path("r/skipped.csv").read_text().splitlines()
    assert header == "file,reason"
    assert row.startswith("broken.jpg,")
