"""First mistakes, and what is said before and after a training, as a user types it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import likewise as lw
from likewise.cli import main
from small_data import sentences
from small_files import by_colour, lines
from typed_commands import answered, refused

pytestmark = pytest.mark.usefixtures("working_folder")
Text = pytest.CaptureFixture[str]


def test_a_run_is_no_data_and_a_refused_resume_names_the_new_epochs(capsys: Text) -> None:
    by_colour(Path("photos"), 16, seed=0)
    words = "pretrain photos --encoder resnet8 --epochs 1 --batch-size 8 --precision 32-true --out run --no-progress"
    assert main(words.split()) == 0
    for asked in ("pretrain run", "pretrain --resume run"):
        line = refused(capsys, *asked.split())
        assert line.startswith("run is a run, not data: `likewise pretrain photos --epochs 1 --batch-size 8 ")
        assert line.endswith(
            "--resume` goes on with it, and `likewise pretrain DATA --weights run` begins with its encoder"
        )
    longer = words.replace("--epochs 1", "--epochs 3")
    line = refused(capsys, *longer.split(), "--lr", "0.5", "--resume")
    assert "run was begun with lr " in line
    assert "--epochs 3 " in line.partition("resume it as it was (`")[2].partition(" --resume`)")[0]


def test_long_documents_are_shown_as_texts_not_as_numbers(capsys: Text) -> None:
    lines(Path("long.txt"), [" ".join(sentences(20, seed=i)) for i in range(8)])
    words = (
        "pretrain long.txt --method gpt --encoder gpt-tiny --max-tokens 32 --vocab-size 200 --epochs 1 --batch-size 8"
    )
    assert main([*words.split(), "--precision", "32-true", "--out", "run"]) == 0
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  sample ")]
    assert len(shown) == 3
    first = sentences(20, seed=0)[0].split()
    assert " ".join(first[:4]) in shown[0]
    assert "wrote the digit" in " ".join(shown)
    assert len({line.partition(": ")[2] for line in shown}) == 3


def test_an_evaluation_lists_what_could_not_be_read(capsys: Text) -> None:
    by_colour(Path("photos"), 16, seed=0)
    lw.pretrain("photos", encoder="resnet8", epochs=1, batch_size=8, precision="32-true", out="run", progress=False)
    for part in ("train", "test"):
        shutil.copytree(by_colour(Path(f"{part} colours"), 16, seed=len(part)), part)
        (Path(part) / "red" / f"broken {part}.png").write_bytes(b"no picture")
    words = "evaluate run --train train --test test --labels-per-class 1 --seeds 1 --protocols raw-knn".split()
    assert answered(capsys, *words)["skipped"] == {"train": 1, "test": 1}
    assert main(words) == 0
    assert "test: 16 samples, 1 file could not be read (see run/evaluation.skipped.csv)" in capsys.readouterr().err
    _, *rows = Path("run/evaluation.skipped.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["red/broken train.png", "red/broken test.png"]
