"""Every part of a run: what is saved is loaded again, and what is damaged is refused."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.runs.arrays import read_arrays, write_arrays
from likewise.runs.chance import ChanceLevels
from likewise.runs.config import RunConfig
from likewise.runs.evaluation import Evaluation
from likewise.runs.figures import Figure, FigureRow, Figures
from likewise.runs.files import DAMAGED
from likewise.runs.gallery import Gallery
from likewise.runs.history import History
from likewise.runs.matches import RetrievalMatches
from likewise.runs.pairs import Pairs
from likewise.runs.part import RunPart
from likewise.runs.samples import Samples
from likewise.runs.skipped import Skipped
from likewise.runs.snapshots import Snapshots
from likewise.runs.verdict import Verdict


def pictures(n: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, channels, 4, 5), dtype=np.uint8)


POINT = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 1.0, "test_loss": 0.7, "test_accuracy": 0.5}


def evaluation() -> Evaluation:
    rows = [
        {"protocol": "frozen", "labels_per_class": count, "mean": 0.5, "low": None, "high": None, "seeds": 1}
        for count in (1, "all")
    ]
    trials = [
        {
            "protocol": "frozen",
            "labels_per_class": 1,
            "confusion": [[0, 0, 3], [0, 1, 1], [1, 1, 4]],
            "curve": [POINT],
        },
        {"protocol": "frozen", "labels_per_class": 1, "confusion": [[1, 0, 2]], "curve": None},
    ]
    table = {"title": "t", "caption": "", "head": ["of", "it"], "units": ["", "%"], "rows": [["a", 0.5], ["b", None]]}
    return Evaluation(
        test="digits:test",
        samples={"train": 30, "test": 10},
        classes=["a", "b"],
        seeds=1,
        labels_per_class=["all", 1],
        protocols=["scratch", "frozen"],
        chance=0.5,
        majority=0.6,
        summary=rows,
        trials=trials,
        tables=[table],
    )


PARTS: list[RunPart] = [
    RunConfig(likewise="0.1.0", source={"name": "ünï", "modality": "image"}),
    ChanceLevels(loss=6.2, top1=0.1),
    Verdict("stuck", "It is stuck.", ("one", "two"), "--lr 1", 30, 1.5),
    Skipped([("a, b.png", 'said "no"'), ("c.png", "empty file")]),
    History([{"step": 0, "epoch": 0.1, "loss": 2.0}, {"step": 9, "epoch": 1.0, "loss": 1.0, "top1": 0.5}]),
    Pairs(Samples(pictures(2), ["a", "ß"]), Samples(texts=["c", "d"]), halves=True),
    Snapshots(np.array([0, 3]), np.array([0.0, 1.5]), np.eye(4, dtype=np.float32)[None].repeat(2, axis=0)),
    Gallery(
        Samples(pictures(3, 1), ["x", "y", "z"]),
        np.ones((3, 2), np.float32),
        ["0.png", "1.png", "2.png"],
        np.array([0, 1, 0]),
        ["low", "high"],
    ),
    Gallery(Samples(), np.ones((2, 2), np.float32), ["0", "1"]),
    Figures(
        [
            Figure("One", "of pictures", [FigureRow("a", pictures(2), ["✓", "✗"]), FigureRow("", texts=["c"])]),
            Figure("Two", "of sounds", [FigureRow("b", sounds=np.arange(6, dtype=np.int16)[None], sample_rate=8000)]),
        ]
    ),
    RetrievalMatches(
        ("image", "text"),
        (50, 40),
        np.array([0, 2]),
        np.array([[[0, 1], [2, 1]]] * 2),
        np.array([[[True, False]] * 2] * 2),
        np.array([[1, 1], [2, 7]]),
        (Samples(pictures(3)), Samples(texts=["a", "b", "c"])),
    ),
    evaluation(),
]


def plain(value: Any) -> Any:
    """A part, with all that is in it, as something that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "__dict__"):
        return {name: plain(part) for name, part in vars(value).items() if not name.startswith("_")}
    return value


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_what_is_saved_is_loaded_again(part: RunPart, tmp_path: Path) -> None:
    part.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [part.FILE]
    again = type(part).load(tmp_path)
    assert type(again) is type(part)
    assert plain(again) == plain(part)


def test_every_part_has_a_file_of_its_own() -> None:
    kinds = RunPart.__subclasses__()
    assert {type(part) for part in PARTS} == set(kinds)
    assert len({kind.FILE for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "another", "missing"])
def test_a_damaged_file_is_refused_or_read(part: RunPart, damage: str, tmp_path: Path) -> None:
    """What can be read of a table of a running training is read; nothing else than `DAMAGED` is ever raised."""
    part.save(tmp_path)
    path = tmp_path / part.FILE
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    flipped = data[:middle] + bytes(byte ^ 0xFF for byte in data[middle : middle + 8]) + data[middle + 8 :]
    wrong = {"cut": data[:middle], "empty": b"", "flipped": flipped, "another": b"[1, 2]"}
    path.unlink() if damage == "missing" else path.write_bytes(wrong[damage])
    try:
        type(part).load(tmp_path)
    except DAMAGED:
        return
    assert damage == "flipped" or path.suffix == ".csv"  # some bytes of an archive say nothing


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        (PARTS[7], {"ids": np.array(["a"])}, "3 embeddings need as many ids, got 1"),
        (PARTS[7], {"labels": np.array([0, 2, 0])}, "labels must be from 0 to 1, got 0 to 2"),
        (PARTS[7], {"labels": np.array([0, -1, 0])}, "labels must be from 0 to 1, got -1 to 0"),
        (PARTS[7], {"embeddings": np.ones(3, np.float32)}, r"embeddings is float32 of shape \(3,\)"),
        (PARTS[7], {"pictures": np.ones((3, 4, 5), np.uint8)}, r"pictures is uint8 of shape \(3, 4, 5\)"),
        (PARTS[6], {"steps": np.array([1])}, r"similarity of shape \(2, 4, 4\) does not fit 1 steps"),
        (PARTS[6], {"similarity": np.ones((2, 3, 3))}, "does not fit 2 steps"),
        (PARTS[5], {"second_texts": np.array(["c"])}, "there are 2 first samples and 1 second ones"),
        (PARTS[10], {"answers": np.full((2, 2, 2), 3)}, "answers must be from 0 to 2, got 3 to 3"),
        (PARTS[10], {"ranks": np.ones((2, 3), np.int64)}, r"answers of shape \(2, 2, 2\) do not fit 2 queries"),
        (PARTS[9], {"layout": np.array(json.dumps([{"title": "", "caption": "", "rows": ["x"] * 3}]))}, "0-2 has"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    part: RunPart, changes: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    part.save(tmp_path)
    write_arrays(tmp_path / part.FILE, read_arrays(tmp_path / part.FILE) | changes)
    with pytest.raises(ValueError, match=message):
        type(part).load(tmp_path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "pairs.npz", first=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Pairs.load(tmp_path)


def test_tensors_of_a_figure_become_arrays() -> None:
    row = FigureRow("a", torch.zeros(2, 1, 3, 3, dtype=torch.uint8, requires_grad=False), sounds=None)
    assert isinstance(row.pictures, np.ndarray)
    assert row.only_pictures
    assert len(row) == 2


def test_the_columns_of_a_history_have_a_value_for_each_row(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch,loss,top1\n0,0.1,2.0,\n5,0.5,inf,0.5\n9,0.9,x")
    history = History.load(tmp_path)
    assert history.names == ["step", "epoch", "loss", "top1"]
    assert history.column("step") == [0, 5, 9]
    assert history.column("loss")[:2] == [2.0, math.inf]
    assert math.isnan(history.column("loss")[2])
    assert math.isnan(history.column("top1")[0])
    (tmp_path / "metrics.csv").write_text("step,epoch,loss\n0,0.1,2.0\n,0.5,1.0\n")
    assert History.load(tmp_path).rows == [{"step": 0, "epoch": 0.1, "loss": 2.0}]


def test_a_history_writes_only_its_last_row_anew(tmp_path: Path) -> None:
    history = History()
    history.save(tmp_path)
    for step, values in ((0, {"loss": 2.0}), (1, {"loss": 1.0}), (1, {"top1": 0.5}), (2, {"loss": 0.5, "top1": 0.25})):
        history.log(tmp_path, step, step / 2, values)
        again = History.load(tmp_path)
        assert (again.rows, again.names) == (history.rows, history.names)
    written = (tmp_path / "metrics.csv").stat().st_ino
    history.log(tmp_path, 2, 1.0, {"loss": 123456.0})
    history.log(tmp_path, 2, 1.0, {"loss": 1.0})
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["2.0", "1.0", "1.0"]
    assert (tmp_path / "metrics.csv").stat().st_ino == written


def test_an_evaluation_is_asked_by_protocol_and_labels() -> None:
    found = evaluation()
    assert found.protocols == ["frozen"]
    assert found.counts == [1, "all"]
    assert found.summary("frozen", "all") == found["summary"][1]
    assert found.summary("scratch", 1) is None
    assert len(found.trials("frozen", 1)) == 2
    assert found.curves("frozen", 1) == [[POINT]]
    assert found.confusion("frozen", 1) == [[3, 1], [2, 4]]
    assert found.confusion("frozen", "all") is None
    assert found.samples_per_class == 15
    assert found.tables[0].name_columns == 1
    assert "accuracy on digits:test" in str(Evaluation(found | {"protocols": ["frozen"]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "lacks labels_per_class, protocols, summary, trials"),
        ({"tables": []}, "lacks labels_per_class, protocols, summary, trials"),
        ({"summary": [], "trials": []}, "lacks labels_per_class, protocols"),
        ({"tables": [{"title": "t", "head": ["a"], "units": [""], "rows": [[1, 2]]}]}, "'t' has a row of another"),
    ],
)
def test_what_is_no_evaluation_is_refused(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        Evaluation.load(tmp_path)


@pytest.mark.parametrize(
    "name", ["=1+1", "+x", "-1", "@x", "\tx", "\rx", "'=x", "''-y", "'plain", "a\nb", 'a"b', "ü,\udce9"]
)
def test_skipped_names_are_no_formulas_and_come_back(name: str, tmp_path: Path) -> None:
    Skipped([(name, name)]).save(tmp_path)
    with (tmp_path / "skipped.csv").open(newline="", encoding="utf-8") as file:
        _, cells = csv.reader(file)
    assert cells[0][0] not in "=+-@\t\r"
    kept = name.replace("\udce9", r"\udce9")
    assert Skipped.load(tmp_path) == [(kept, kept)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 0.4}, r"summary\[0\] must have low and high, or neither"),
        ({"mean": 2}, r"summary\[0\].mean must be a finite number from 0 to 1, got 2"),
    ],
)
def test_a_summary_that_makes_no_sense_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    found = evaluation()
    found["summary"][0] |= change
    found.save(tmp_path)
    with pytest.raises(ValueError, match=message):
        Evaluation.load(tmp_path)


def test_numbers_of_labels_without_results_are_left_out() -> None:
    assert Evaluation(evaluation() | {"labels_per_class": [1, 5, "all"]}).counts == [1, "all"]
