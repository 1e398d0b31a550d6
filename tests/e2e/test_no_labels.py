"""Data without labels: every command says why there are none, and how this data gets some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import likewise as lw
from small_data import sentences
from small_files import by_colour, lines, table
from typed_commands import refused

pytestmark = pytest.mark.usefixtures("working_folder")
TABLE = "or give a table of files and labels: --labels TABLE, or metadata.csv in the folder"
QUICK = "--epochs 1 --batch-size 8 --precision 32-true --no-progress"


@pytest.mark.parametrize(
    ("data", "need"),
    [
        ("flat", f"lie in no class subfolder (such as 0.png); put each class into a folder of its own, {TABLE}"),
        ("pictures.csv", "pictures.csv gives no labels: name their column with label_column (--label-column COLUMN)"),
        ("docs.csv", "docs.csv gives no labels: name their column with label_column (--label-column COLUMN)"),
        ("docs.txt", "docs has no labels; give a table with a column of them, or a pair (texts, labels)"),
        ("array.npz", "array has no labels; put them into an .npz beside the images, as x and y"),
    ],
)
def test_every_command_says_how_data_gets_labels(data: str, need: str, capsys: pytest.CaptureFixture[str]) -> None:
    for path in by_colour(Path("coloured"), 16, seed=0).rglob("*.png"):
        Path("flat").mkdir(exist_ok=True)
        path.rename(Path("flat") / path.name)
    table(Path("pictures.csv"), ["image", "colour"], [(f"flat/{i}.png", "ab"[i % 2]) for i in range(16)])
    table(Path("docs.csv"), ["text", "kind"], [(text, "ab"[i % 2]) for i, text in enumerate(sentences(16))])
    lines(Path("docs.txt"), sentences(16))
    np.savez("array.npz", x=np.arange(16 * 64, dtype=np.uint8).reshape(16, 8, 8))
    texts = data.startswith("docs")
    how: dict[str, object] = {"encoder": "bert-tiny" if texts else "resnet8", "epochs": 1, "batch_size": 8}
    how |= {"text_column": "text"} if data == "docs.csv" else {}
    how |= {"max_tokens": 16, "vocab_size": 100, "method": "simcse"} if texts else {}
    lw.pretrain(data, out="run", precision="32-true", progress=False, **how)  # type: ignore[arg-type]
    own = refused(capsys, "evaluate", "run")
    assert "name data that it has not seen with --test, and with --train if labels are to be drawn; " in own
    options = [*"--method simcse".split(), *("--text-column text".split() if data == "docs.csv" else [])]
    asked = ["study", data, *QUICK.split(), "--seeds", "2", *(options if texts else [])]
    for line in (
        own,
        refused(capsys, "evaluate", "run", "--test", data),
        refused(capsys, *asked),
    ):
        assert need in line


def test_labels_that_are_named_later_are_held_out_by_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    folder = by_colour(Path("coloured"), 16, seed=0)
    names = sorted(folder.rglob("*.png"))
    for path in names:
        Path("flat").mkdir(exist_ok=True)
        path.rename(Path("flat") / path.name)
    table(Path("labels.csv"), ["file", "label"], [(path.name, path.parent.name) for path in names])
    lw.pretrain("flat", out="run", encoder="resnet8", epochs=1, batch_size=8, precision="32-true", progress=False)
    line = refused(capsys, "evaluate", "run", "--labels", "labels.csv")
    assert line.startswith("the encoder has learned from all of flat: name labelled data that it has not seen")
    assert line.endswith(f"or let `likewise study {Path('flat').resolve()}` hold some out")
