"""Every mistake of a user gets one line that names it and the remedy, exit status 2, no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import likewise as lw
from likewise.cli import main
from likewise.commands.options import has_seen, reopenable
from likewise.data import builtin
from likewise.modalities.run import Run
from small_data import sentences
from small_files import by_colour, captioned, documents, lines, notes, squares, table
from typed_commands import refused

Text = pytest.CaptureFixture[str]


pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "digits"
    lw.pretrain("digits", epochs=1, precision="32-true", out=run, progress=False)
    return run


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
        ("pretrain digits --temprature 0.1", "unknown option --temprature, did you mean --temperature?"),
        (
            "pretrain digits --augment strnog",
            "augment must be one of strong, mild, none, photo, photo-mild, symbol, symbol-mild, got 'strnog', did you ",
        ),
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
        (
            "pretrain digits --batch-size 64 --micro-batch-size 48",
            "micro_batch_size must be a divisor of the batch, 64, got 48",
        ),
        ("pretrain digits --projection-dim 0", "projection_dim must be at least 1, got 0"),
        ("pretrain digits --batch-size 1", "batch_size must be at least 2 for SimCLR, got 1"),
        ("pretrain digits --batch-size 2000", "batch_size must be at most the 1297 samples of digits:train, got 2000"),
        ("pretrain digits --epochs 0", "epochs must be at least 1, got 0"),
        ("pretrain digits --lr -1", "lr must be above 0, got -1"),
        ("pretrain digits --optimizer adamm", "optimizer must be one of sgd, adam, adamw, lars, got 'adamm'"),
        ("pretrain digits --size 2", "size must be at least 4 px, got 2"),
        ("pretrain digits --precision 12", "precision must be one of auto,"),
        ("pretrain digits --devices many", "devices must be a whole number or auto, got 'many'"),
        ("pretrain digits --checkpoint-minutes 0", "checkpoint_minutes must be above 0, got 0"),
        ("pretrain digits:valid", "digits has no split 'valid'"),
        ("pretrain stl10", "the files of stl10 are missing: put "),
        ("pretrain digits --seed -1", "seed must be 0 or more, got -1"),
        ("pretrain digits --strategy foo", "this machine can't train with devices auto, strategy foo"),
        (
            "pretrain digits --strategy fsdp",
            "strategy must be one that keeps whole weights in each process, got 'fsdp': ddp is; ",
        ),
        ("views digits --out picture", "out must end in .png, got picture"),
        ("evaluate runs/none", "no run folder runs/none"),
        ("report runs/none", "no run folder runs/none"),
        ("embed runs/none digits --out x.npy", "no run folder runs/none"),
    ],
)
def test_mistakes_in_one_command(words: str, message: str, capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:

    def no_network(name: str, root: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr(builtin, "download", no_network)
    assert message in refused(capsys, *words.split())
    assert list(Path().glob("runs/*")) == []


def test_missing_files_of_a_named_set_are_named(capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:

    def no_network(name: str, root: Path) -> None:
        raise OSError("no network")

    monkeypatch.setattr(builtin, "download", no_network)
    line = refused(capsys, "pretrain", "stl10", "--root", "here")
    assert "here/stl10_binary" in line
    assert "unlabeled_X.bin" in line


def test_words_that_are_no_command(capsys: Text) -> None:
    assert "unknown command 'pretrian', did you mean 'pretrain'?" in refused(capsys, "pretrian", "digits")
    assert "five" in refused(capsys, "pretrain", "digits", "--epochs", "five")


def test_an_unknown_recipe_key(capsys: Text, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("epoch: 3\n")
    line = refused(capsys, "pretrain", "digits", "--recipe", "mine.yaml")
    assert "recipe mine.yaml has no key 'epoch', did you mean 'epochs'?" in line


def test_folders_that_hold_too_little(capsys: Text, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.pdf").write_text("no picture")
    assert "empty holds no images, recordings or texts: it has 1 other files" in refused(capsys, "pretrain", "empty")
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
    assert "did you mean 'frozen'" in refused(capsys, "evaluate", finished, "--protocols", "frozn")


def test_a_run_folder_that_exists(capsys: Text, tmp_path: Path, finished: Path) -> None:
    line = refused(capsys, "pretrain", "digits", "--out", finished)
    assert f"{finished} exists: add --resume to go on with it, or name another folder with --out" in line
    pictures(tmp_path / "photos", "a.png")
    line = refused(capsys, "pretrain", "digits", "--out", "photos")
    assert line == "photos exists: name another folder with --out"


def test_resuming_something_else(capsys: Text, finished: Path) -> None:
    line = refused(capsys, "pretrain", "digits", "--epochs", "1", "--lr", "0.5", "--out", finished, "--resume")
    assert f"{finished} was begun with lr 0.002, not 0.5" in line
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
    lw.pretrain(folder, epochs=1, batch_size=8, precision="32-true", out="run", encoder="resnet8", progress=False)
    line = refused(capsys, "evaluate", "run")
    assert "the encoder has learned from all of photos: name labelled data that it has not seen with --train" in line
    assert f"likewise study {folder}" in line
    shutil.rmtree(folder)
    assert f"the data of run is no longer at {folder}" in refused(capsys, "evaluate", "run")


@pytest.mark.parametrize(
    ("learned", "test", "seen"),
    [
        ("photos", "photos", True),
        ("photos", "photos:test", True),
        ("photos", "photos/cat", True),
        ("photos:train", "photos", True),
        ("photos:train", "photos:train", True),
        ("photos:train", "photos:test", False),
        ("photos/cat", "photos/dog", False),
        ("digits", "digits:test", False),
        ("digits:train", "digits:train", True),
        ("digits:train", "fashion-mnist:train", False),
        ("split:train", "split:Training", True),
        ("split:Training", "split/Training", True),
        ("split:Training", "split/Training/cat", True),
        ("split:Training", "split", True),
        ("split:Training", "split:test", False),
        ("split:Training", "split/Testing", False),
        ("split/Training", "split:train", True),
        ("split/Training/cat", "split:train", True),
        ("split:train", "link:training", True),
        ("stl10:train+unlabeled", "stl10:train", True),
        ("stl10:unlabeled", "STL10:test", False),
        (None, "photos", False),
        ("photos", np.zeros(3), False),
    ],
)
def test_what_the_encoder_has_seen(learned: str | None, test: Any, seen: bool) -> None:
    for name in ("photos/cat", "photos/dog", "split/Training/cat", "split/Testing/cat"):
        Path(name).mkdir(parents=True)
    Path("link").symlink_to("split")
    assert has_seen(Run(Path("run"), {"data": reopenable(learned)}), test) is seen


def test_an_evaluation_on_what_was_learned_from_says_so(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", *(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(9)))
    run = lw.pretrain(folder, epochs=1, batch_size=8, precision="32-true", out="run", encoder="resnet8", progress=False)
    few: dict[str, Any] = {"labels_per_class": (1,), "seeds": 1, "protocols": ("frozen-knn",), "progress": False}
    found = lw.evaluate(run, train=f"{folder}:train", test=f"{folder}:test", **few)
    note = "The encoder has learned from samples of photos:test, without their labels."
    assert found["notes"] == [note]
    assert note in str(found)
    assert note in lw.write_report(run).read_text()
    other = shutil.copytree(folder, tmp_path / "others")
    assert "notes" not in lw.evaluate(run, train=f"{other}:train", test=f"{other}:test", **few)


def test_embeddings_into_an_unknown_kind_of_file(capsys: Text, finished: Path) -> None:
    assert "out must end in .parquet or .npy, or be lance://FOLDER, got x.csv" in refused(
        capsys, "embed", finished, "digits", "--out", "x.csv"
    )


def test_a_loss_that_is_no_number(capsys: Text, tmp_path: Path) -> None:
    line = refused(
        capsys, "pretrain", "digits", "--lr", "1e30", "--optimizer", "sgd", "--precision", "32-true", "--out", "r"
    )
    assert "NaN or infinite at step" in line
    assert "try a smaller --lr" in line
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

    from likewise.training.callbacks.history import HistoryLogger

    def denied(self: HistoryLogger, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(HistoryLogger, "log_metrics", denied)
    line = refused(capsys, "pretrain", "digits", "--epochs", "1", "--precision", "32-true", "--out", "r")
    assert line == "could not write into r: the disk is full; there is no checkpoint yet; fix it, then --resume"


def test_debug_shows_the_traceback(capsys: Text) -> None:
    assert main(["report", "nowhere", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_says_so(capsys: Text, monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    import likewise.report.page

    def broken(path: Path, **_: object) -> Path:
        raise KeyError("section")

    monkeypatch.setattr(likewise.report.page, "write_page", broken)
    assert main(["report", str(finished)]) == 1
    assert capsys.readouterr().err == "likewise: a bug in likewise, --debug shows its traceback: KeyError: 'section'\n"


def test_pictures_that_cannot_be_read_are_listed_not_fatal(tmp_path: Path, capsys: Text) -> None:
    folder = pictures(tmp_path / "photos", *(f"{i}.png" for i in range(9)))
    (folder / "broken.jpg").write_bytes(b"no picture")
    np.save(folder / "ignored.npy", np.zeros(3))
    assert (
        main(["pretrain", str(folder), "--epochs", "1", "--encoder", "resnet8", "--precision", "32-true", "--out", "r"])
        == 0
    )
    assert "9 samples, 2 files could not be read (see skipped.csv)" in capsys.readouterr().err
    header, row, other = Path("r/skipped.csv").read_text().splitlines()
    assert header == "file,reason"
    assert row.startswith("broken.jpg,")
    assert other.startswith("ignored.npy,")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of every modality."""
    folder = tmp_path_factory.mktemp("things")
    documents(folder / "docs.csv", 40)
    lines(folder / "docs.txt", sentences(40))
    notes(folder / "notes", 12)
    captioned(folder / "squares", 12)
    table(folder / "pairs.csv", ["image", "text"], squares(folder / "pictures", 12))
    by_colour(folder / "colours", 12, seed=100)
    return folder


SMALL = "--epochs 1 --batch-size 8 --precision 32-true --no-progress"
OF_TEXT = f"{SMALL} --max-tokens 24 --vocab-size 200"
RUNS = {
    "bert": f"pretrain docs.csv --method bert {OF_TEXT}",
    "gpt": f"pretrain docs.txt --method gpt {OF_TEXT}",
    "cola": f"pretrain notes --method cola --seconds 0.2 {SMALL}",
    "clip": f"pretrain squares --method clip --encoder resnet8+bert-tiny {OF_TEXT}",
}


@pytest.fixture(scope="module")
def runs(things: Path) -> Path:
    """The same folder, with a run of some methods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(things)
        patch.setenv("LIKEWISE_CACHE", str(things / "cache"))
        for name, words in RUNS.items():
            assert main([*words.split(), "--out", f"run-{name}"]) == 0
    return things


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "pretrain docs.csv --method bert --text-column txt",
            "docs.csv has no column 'txt', did you mean 'text'?; it has text, section",
        ),
        (
            "pretrain docs.csv --method bert --label-column kind",
            "label_column: docs.csv has no column 'kind'; it has text, section",
        ),
        (
            "pretrain pairs.csv --method clip --columns image caption",
            "columns: pairs.csv has no column 'caption'; it has image, text",
        ),
        (
            "pretrain pairs.csv --method clip --columns image",
            "columns must be the two or three that belong together, got ['image']",
        ),
        (
            "pretrain digits --method bert",
            "digits:train holds images, where text samples are asked for; possible are a .txt file",
        ),
        (
            "pretrain digits --method clip",
            "digits:train holds images, where pair samples are asked for; possible are a table with two",
        ),
        (
            "pretrain docs.csv --method clip",
            "columns: say which two of docs.csv belong together, or take modality text; it has text, section",
        ),
        ("pretrain docs.csv --method cola", "docs.csv has no column of recordings, whose values end in .wav"),
        ("pretrain notes --method bert", "notes holds no texts: it has 12 other files, and the types read are .txt"),
        (
            "pretrain colours --method clip",
            "colours: none of its 12 images has a caption that can be read: that of blue/10.png",
        ),
        (
            "pretrain squares --method simclr --modality pair",
            "simclr learns from samples of one part, squares is pairs of image and text",
        ),
        (
            "pretrain pairs.csv --method mae --columns image text",
            "mae learns from image samples, pairs is pairs of image and text",
        ),
        ("pretrain docs.csv --method bert --modality txt", "modality must be image, audio, pair or text, got 'txt'"),
        ("pretrain notes --method cola --sample-rate 5", "sample_rate must be from 1,000 to 192,000 Hz, got 5"),
        ("pretrain notes --method cola --seconds 0", "seconds must be above 0, got 0"),
        ("pretrain notes --method cola --encoder resnet8", "unknown encoder 'resnet8', did you mean 'mel-resnet8'?"),
        ("pretrain notes --method wav2vec2 --encoder mel-resnet8", "got mel-resnet8: try --encoder wav2vec2-tiny"),
        ("pretrain notes --method hubert --encoder conv-gru-tiny", "got conv-gru-tiny: try --encoder wav2vec2-tiny"),
        (
            "pretrain notes --method best-rq --encoder mel-resnet8",
            "mask_length must be from 2 to 6, below the 7 frames of a view, got 8",
        ),
        (
            "pretrain docs.csv --method bert --tokenizer none.json",
            "tokenizer none.json cannot be read: No such file or directory; give a tokenizer.json",
        ),
        (
            "pretrain docs.csv --method bert --vocab-size 3",
            "vocab_size must be at least 32 for a wordpiece tokenizer, got 3",
        ),
        (
            "pretrain docs.csv --method bert --encoder bert-huge",
            "unknown encoder 'bert-huge', did you mean 'bert-base'?",
        ),
        (
            "pretrain docs.csv --method bert --encoder gpt-tiny",
            "encoder must be bidirectional, got gpt-tiny, which is causal: try --encoder bert-tiny",
        ),
        (
            "pretrain docs.csv --method gpt --encoder bert-tiny",
            "encoder must be causal, got bert-tiny: try --encoder gpt-tiny",
        ),
        ("pretrain docs.csv --method bert --encoder hf:nowhere", "encoder 'hf:nowhere': there is no such folder"),
        ("pretrain docs.csv --method bert --pooling max", "pooling must be one of mean, cls, last, got 'max'"),
        (
            "pretrain docs.csv --method bert --augment wild",
            "augment must be none, mild or strong for texts, got 'wild'",
        ),
        (
            "pretrain squares --method clip --encoder resnet8",
            "encoder must be one name for each of image + text, got 'resnet8'",
        ),
        (
            "pretrain squares --method clip --encoder bert-tiny+resnet8",
            "unknown encoder 'bert-tiny', did you mean 'vit_tiny'?",
        ),
        (
            "pretrain docs.csv --method clip --columns text section --encoder bert-tiny+bert-tiny",
            "encoder must be one name for parts that are all text, got 'bert-tiny+bert-tiny'",
        ),
        ("views docs.csv --out views.png", "docs is text: there is nothing to draw"),
    ],
)
def test_mistakes_in_training_on_other_things_than_images(
    words: str, message: str, things: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(things)
    assert message in refused(capsys, *words.split())
    assert list(Path().glob("runs/*")) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search run-clip", "give one query: --text, --image or --audio; got none"),
        (
            "search run-clip --text red --image squares/0.png",
            "give one query: --text, --image or --audio; got text and image",
        ),
        ("search run-clip --audio notes/0.wav", "the encoder takes image and text, not audio"),
        ("search run-clip --image nowhere.png", "image nowhere.png can't be read: No such file or directory"),
        ("search run-clip --text red --top 0", "top must be at least 1, got 0"),
        (
            "search run-clip nowhere.parquet --text red",
            "no collection nowhere.parquet: `likewise embed RUN DATA --out nowhere.parquet`",
        ),
        (
            "search run-bert --image squares/0.png",
            "run-bert has learned from text samples: its encoder takes no image query",
        ),
        ("generate run-clip", "run-clip has learned from pair samples: it is not a causal language model"),
        ("generate run-cola", "run-cola has learned from audio samples: it is not a causal language model"),
        ("generate run-bert", "encoder must be causal, got bert-tiny: try --encoder gpt-tiny"),
        ("generate run-gpt --max-new-tokens 0", "max_new_tokens must be at least 1, got 0"),
        ("generate run-gpt --temperature -1", "temperature must be 0 or more, got -1"),
        (
            "evaluate run-bert --train digits:train --test digits:test",
            "digits:test holds images, where text samples are asked for",
        ),
        ("evaluate run-bert --train notes --test squares", "notes holds no texts: it has 12 other files"),
        ("evaluate run-bert --train docs.csv --test docs.txt", "docs has no labels"),
        (
            "evaluate run-clip --train notes --test colours",
            "train and test must hold the same kind of samples: notes is audio, colours is image",
        ),
        ("evaluate run-clip --test notes", "the encoder takes image and text, not audio"),
        (
            "evaluate run-gpt",
            "learned from all of docs, of which nothing can be held out: name data that it has not seen with --test",
        ),
        (
            "evaluate run-bert",
            "the encoder has learned from all of docs: name labelled data that it has not seen with --train",
        ),
        ("embed run-bert digits --out x.npy", "digits holds images, where text samples are asked for"),
        (
            "embed run-cola docs.txt --out x.npy",
            "cannot read samples from the file docs.txt; possible are a folder of recordings",
        ),
        ("embed run-clip notes --out x.npy", "the encoder takes image and text, not audio"),
        ("pretrain docs.csv --method bert --batch-size 8 --probe docs.txt", "docs has no labels"),
    ],
)
def test_mistakes_in_the_use_of_a_run(
    words: str, message: str, runs: Path, capsys: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    assert message in refused(capsys, *words.split())


def test_resuming_with_another_column(capsys: Text) -> None:
    table(Path("docs.csv"), ["text", "more"], zip(sentences(16), sentences(16, seed=1), strict=True))
    words = f"pretrain docs.csv --method bert {OF_TEXT} --out r"
    assert main([*words.split(), "--text-column", "text"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    line = refused(capsys, *words.split(), "--text-column", "more", "--resume")
    assert "r was begun with text_column 'text', not 'more': resume it as it was" in line


def test_a_run_of_images_reads_images_only(capsys: Text, things: Path, finished: Path) -> None:
    line = refused(capsys, "embed", finished, things / "docs.csv", "--out", "x.npy")
    assert "docs.csv has no column of images, whose values end in .jpg " in line
    assert "it is not a causal language model" in refused(capsys, "generate", finished)


def test_texts_that_are_not_utf_8_or_say_nothing(capsys: Text) -> None:
    Path("latin.csv").write_bytes("text,section\nhallo,a\nschön,b\n".encode("latin-1"))
    Path("latin.txt").write_bytes(("gut\n" * 4 + "schön\n").encode("latin-1"))
    Path("wide.txt").write_bytes("gut".encode("utf-16"))
    for file, where in (("latin.csv", "line 3, byte 4 is 0xf6"), ("latin.txt", "line 5, byte 4 is 0xf6")):
        line = refused(capsys, "pretrain", file, "--method", "bert")
        assert line.startswith(f"{file} is not UTF-8: {where}; save it as UTF-8")
    assert "it looks like UTF-16" in refused(capsys, "pretrain", "wide.txt", "--method", "bert")
    Path("blank.txt").write_text("\n  \n")
    Path("empty.txt").write_text("")
    lines(Path("three.txt"), ["one two three"])
    lines(Path("often.txt"), ["one", "two", "three"] * 5)
    for file, message in (
        ("blank.txt", "blank.txt holds no text: all of its 2 lines are empty"),
        ("empty.txt", "empty.txt is empty"),
        ("three.txt", "three has 1 sample: training needs at least 8, better hundreds"),
        (
            "often.txt",
            "a tokenizer is learned from 10 different words or more, these documents have 3 (one, three, two)",
        ),
    ):
        assert message in refused(capsys, "pretrain", file, "--method", "bert")


def test_recordings_none_of_which_can_be_heard(capsys: Text) -> None:
    for name, wave, why in (
        ("short", np.zeros(0, np.float32), "no samples"),
        ("strange", np.full(9, np.nan, np.float32), "holds samples that are NaN or infinite"),
    ):
        Path(name).mkdir()
        for i in range(3):
            soundfile.write(f"{name}/{i}.wav", wave, 8000, subtype="FLOAT")
        line = refused(capsys, "pretrain", name, "--method", "cola")
        assert line == f"{name}: none of its 3 recordings can be read (0.wav: {why})"


def test_halves_without_the_other_are_listed_not_fatal(capsys: Text) -> None:
    folder = captioned(Path("squares"), 12)
    (folder / "3.png").unlink()
    (folder / "5.txt").unlink()
    (folder / "7.txt").write_bytes(b"\xff\xfe\xfd")
    (folder / "9.png").write_bytes(b"no picture")
    words = f"pretrain squares --method clip --encoder resnet8+bert-tiny {OF_TEXT} --out r"
    assert main(words.split()) == 0, capsys.readouterr().err
    header, *rows = Path("r/skipped.csv").read_text().splitlines()
    assert header == "file,reason"
    reasons = dict(row.split(",", 1) for row in rows)
    assert reasons["3.txt"] == "a caption without its image"
    assert reasons["5.png"] == "image without its caption"
    assert reasons["7.txt"] == "not UTF-8: byte 1"
    assert "not an image" in reasons["9.png"]
    assert json.loads(Path("r/config.json").read_text())["source"]["samples"] == 8


def test_a_study_of_halves_is_told_its_mistakes_before_it_trains(capsys: Text, things: Path) -> None:
    words = ("study", things / "squares", "--method", "clip", "--test", things / "colours", "--train", things / "notes")
    assert "must hold the same kind of samples" in refused(capsys, *words)
    assert not Path("runs").exists()
