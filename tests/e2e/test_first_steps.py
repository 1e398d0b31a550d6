"""What a newcomer types first: names of folders, usual methods, few samples, answers that name the next step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import likewise as lw
from likewise.cli import main
from likewise.commands.option_names import UnknownOption
from likewise.errors import UserError
from likewise.methods import METHODS
from small_data import SAMPLE_RATE, recordings, sentences
from small_files import lines, notes, table

Text = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("working_folder")


def failed(capsys: Text, *words: str) -> str:
    """The one line that a command is refused with."""
    assert main(list(words)) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err.removeprefix("likewise: ").strip()


def test_a_study_of_twelve_recordings(capsys: Text) -> None:
    notes(Path("wavs"), 12)
    words = "study wavs --method cola --epochs 1 --precision 32-true --protocols frozen --steps 3 --seeds 1"
    assert main(words.split()) == 0
    err = capsys.readouterr().err
    assert "batch size: 8, all samples, not the 64 of the recipe" in err
    assert [path.name for path in Path("runs").iterdir()] == ["wavs-cola"]
    evaluation = lw.open_run("runs/wavs-cola").evaluation
    assert evaluation is not None
    assert evaluation["protocols"] == ["frozen"]
    asked = "batch_size must be at most the 12 samples of wavs, got 64: try --batch-size 12"
    assert main("pretrain wavs --method cola --batch-size 64 --out run".split()) == 2
    assert asked in capsys.readouterr().err


def test_a_study_refuses_protocols_before_it_trains(capsys: Text) -> None:
    words = "study digits --epochs 1 --protocols knn --out run --no-progress".split()
    assert failed(capsys, *words).startswith("protocols must be some of scratch, ")
    assert not Path("run").exists()


def test_the_run_folder_is_named_after_data_and_method() -> None:
    how = {"epochs": 1, "precision": "32-true", "progress": False}
    assert lw.pretrain("digits", **how).path == Path("runs/digits-simclr")
    assert lw.pretrain("digits:test", **how).path == Path("runs/digits-test-simclr")


def test_each_modality_has_a_usual_method(capsys: Text) -> None:
    lines(Path("docs.txt"), sentences(40))
    Path("wavs").mkdir()
    for i, wave in enumerate(recordings(10)[0]):
        soundfile.write(f"wavs/{i}.wav", wave, SAMPLE_RATE)
    of_texts = ("docs.txt", "bag-of-words", "text", "texts without known weights")
    for data, method, modality, which in (of_texts, ("wavs", "cola", "audio", "audio samples")):
        assert main(["pretrain", data, "--epochs", "1", "--precision", "32-true"]) == 0
        err = capsys.readouterr().err.splitlines()
        assert f"method: {method}, the usual one for {which}" in err
        run = lw.open_run(f"runs/{Path(data).stem}-{method}")
        assert run.config["recipe"]["method"] == method
        prefix = {"text": "body.", "audio": "image.body."}[modality]  # as the guide of Python says
        assert all(name.startswith(prefix) for name in load_file(run.path / "encoder.safetensors"))


def test_texts_with_an_encoder_of_their_own_are_learned_from_by_simcse(capsys: Text) -> None:
    lines(Path("docs.txt"), sentences(40))
    how = ["--epochs", "1", "--precision", "32-true", "--max-tokens", "16", "--vocab-size", "200"]
    for place, words in enumerate(("--encoder bert-tiny", "--pooling cls", "--temperature 0.3")):
        assert main(["pretrain", "docs.txt", "--out", f"run{place}", *how, *words.split()]) == 0
        assert "method: simcse, the usual one for text samples" in capsys.readouterr().err.splitlines()
    assert main(["pretrain", "docs.txt", "--out", "static", *how, "--encoder", "static-256"]) == 0
    assert "method: bag-of-words, the usual one for texts without known weights" in capsys.readouterr().err.splitlines()
    asked = "tune docs.txt --over encoder=bert-tiny,bert-mini --trials 1 --objective rankme --out searched".split()
    assert main([*asked, *how]) == 0
    assert lw.open_run(next(Path("searched").rglob("config.json")).parent).config["recipe"]["method"] == "simcse"


def test_small_images_of_one_thing_in_its_place_have_a_usual_method_of_their_own(capsys: Text) -> None:
    digits = torch.from_numpy(load_digits().images[:80] * 15.9).to(torch.uint8)[:, None]
    large = digits.repeat_interleave(3, 2).repeat_interleave(3, 3)
    np.save("symbols.npy", large.numpy())
    np.save("mirrored.npy", torch.cat([large, large.flip(-1)]).numpy())
    how = ["--epochs", "1", "--precision", "32-true"]
    assert main(["pretrain", "mirrored.npy", *how]) == 0
    known = "method: contrastive-autoencoder, the usual one for small images of one thing in the same place"
    assert known in capsys.readouterr().err.splitlines()
    encoder = lw.open_run("runs/mirrored-contrastive-autoencoder").encoder
    assert encoder.dim == 4 * encoder.features_dim
    # Symbols keep SimCLR, and hyperparameters are meant for the method that everybody expects.
    for others in (["pretrain", "symbols.npy", *how], ["pretrain", "mirrored.npy", *how, "--temperature", "0.3"]):
        assert main(others) == 0
        assert "method: simclr, the usual one for image samples" in capsys.readouterr().err.splitlines()


def test_columns_that_could_be_a_pair_are_said_to(capsys: Text) -> None:
    rows = "".join(f"{one},{other}\n" for one, other in zip(sentences(20), sentences(20, 1), strict=True))
    Path("two.csv").write_text(f"first,second\n{rows}")
    line = failed(capsys, "pretrain", "two.csv", "--method", "bert")
    assert "say with text_column which one is the text: first, second" in line
    assert line.endswith("or take two as pairs, with method clip and columns first second")


def test_paths_of_a_table_that_lead_nowhere_say_where_they_start(capsys: Text) -> None:
    Path("tables").mkdir()
    Path("photos").mkdir()
    for i in range(9):
        Image.new("RGB", (16, 16), (i * 9, 0, 0)).save(f"photos/{i}.png")
    Path("tables/pairs.csv").write_text("image,text\n" + "".join(f"photos/{i}.png,a picture\n" for i in range(9)))
    line = failed(capsys, "pretrain", "tables/pairs.csv", "--method", "clip")
    assert "No such file or directory: paths start at tables" in line


def test_an_empty_caption_is_left_out_not_unreadable(capsys: Text) -> None:
    Path("photos").mkdir()
    for i in range(20):
        Image.new("RGB", (16, 16), (i * 9, 0, 0)).save(f"photos/{i}.png")
    said = [" " if i == 3 else text for i, text in enumerate(sentences(20))]
    table(Path("pairs.csv"), ["image", "text"], [(f"photos/{i}.png", text) for i, text in enumerate(said)])
    assert main("pretrain pairs.csv --method clip --epochs 1 --precision 32-true --out run".split()) == 0
    assert "pairs: 19 samples, 1 left out (see skipped.csv)" in capsys.readouterr().err
    assert "row 4,its text is empty" in Path("run/skipped.csv").read_text()


def test_a_method_for_other_samples_is_answered_with_one_for_these(capsys: Text) -> None:
    Path("photos").mkdir()
    for i in range(9):
        Image.new("RGB", (16, 16), (i * 9, 0, 0)).save(f"photos/{i}.png")
    line = failed(capsys, "pretrain", "photos", "--method", "cola")
    assert line.endswith("; it has 9 images, which --method simclr takes, for one")
    line = failed(capsys, "pretrain", "digits", "--method", "cola")
    assert line.endswith("; --method simclr takes images")
    lines(Path("docs.txt"), sentences(40))
    line = failed(capsys, "pretrain", "docs.txt", "--method", "clip", "--modality", "text")
    assert line.endswith("docs is text: take --method simcse; `likewise methods` lists all")


def test_a_name_that_is_unknown_is_answered_in_a_line(capsys: Text) -> None:
    assert len(failed(capsys, "pretrain", "nothing")) < 250


def test_a_query_is_one_of_three_options(capsys: Text) -> None:
    assert failed(capsys, "search", "run", "--query", "x") == (
        "unknown option --query; give it as one of --text, --image, --audio"
    )
    assert str(UnknownOption("query", ["text"], command="search")).endswith("give it as one of text")


def test_no_run_is_a_mistake() -> None:
    for run in (None, 3):
        with pytest.raises(UserError, match="run must be a run or its folder, got"):
            lw.embed(run, np.zeros((4, 8, 8), np.uint8))


def test_methods_are_printed_as_the_command_prints_them(capsys: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = str(lw.list_methods("simclr"))
    assert shown.startswith("simclr: contrastive, for any data, arXiv:2002.05709\n")
    assert "temperature" in shown
    assert "likewise pretrain DATA --method simclr" in shown
    assert "denoising-autoencoder" in str(lw.list_methods())
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    words = {word for name in METHODS for word in lw.list_methods(name).when_to_use.split()}
    assert words <= set(out.split())  # no word is broken
    assert set(METHODS) <= set(out.split())


def test_a_study_says_why_there_are_no_labels(capsys: Text) -> None:
    Path("flat").mkdir()
    for i in range(9):
        Image.new("RGB", (16, 16), (i * 9, 0, 0)).save(f"flat/{i}.png")
    why = "flat gives no labels: 9 of its 9 images lie in no class subfolder (such as 0.png)"
    assert failed(capsys, *"study flat --seeds 2 --no-progress".split()).startswith(
        f"--seeds applies to data with labels, but this has none: {why}"
    )
    assert main("study flat --epochs 1 --precision 32-true --no-progress --out run".split()) == 0
    assert why in capsys.readouterr().err
