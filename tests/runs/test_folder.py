"""The run folder: begun, opened, asked for its parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from likewise.errors import UserError
from likewise.runs.evaluation import Evaluation
from likewise.runs.folder import RunFolder
from likewise.runs.history import History
from likewise.runs.skipped import Skipped
from likewise.runs.verdict import Verdict
from likewise.runs.weights import load_weights, save_weights

CONFIG = {
    "likewise": "0.1.0",
    "data": None,
    "source": {"name": "samples", "samples": 8, "modality": "image", "root": None},
    "read_options": {},
    "recipe": {"epochs": 1, "options": {}},
    "method": None,
    "encoder": None,
    "views": None,
    "seed": 0,
    "command": "likewise pretrain DATA",
    "devices": "auto",
    "precision": "32-true",
    "strategy": "auto",
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG)


def test_a_run_is_created_and_opened(run: RunFolder) -> None:
    again = RunFolder.open(str(run.path))
    assert again.config == run.config == CONFIG
    assert again.modality == "image"
    assert repr(again) == f"RunFolder({str(run.path)!r})"
    assert not again.finished
    with pytest.raises(UserError, match="exists: add --resume to go on with it, or name another folder"):
        RunFolder.create(run.path, CONFIG)


def test_a_folder_that_is_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder nowhere"):
        RunFolder.open("nowhere")
    with pytest.raises(UserError, match=r"has no readable config\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"has no readable config\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"its config\.json is some other program's"):
        RunFolder.open(tmp_path)
    with pytest.raises(UserError, match="exists: name another folder"):
        RunFolder.create(tmp_path / "config.json", CONFIG)


def test_parts_that_are_not_there_are_none_or_empty(run: RunFolder) -> None:
    assert run.evaluation is run.verdict is None
    assert run.history.rows == run.skipped == []
    assert run.chance == {}


def test_parts_are_read_when_they_are_asked_for(run: RunFolder) -> None:
    Verdict("learning", "It is learning.").save(run.path)
    History([{"step": 0, "epoch": 1.0, "loss": 2.0}]).save(run.path)
    Skipped([("a", "b")]).save(run.path)
    Evaluation(tables=[{"title": "t", "head": ["a"], "units": [""], "rows": [[1]]}]).save(run.path)
    assert run.verdict == Verdict("learning", "It is learning.")
    assert run.history.rows[0]["loss"] == 2.0
    assert run.skipped == [("a", "b")]
    assert run.evaluation is not None
    assert run.evaluation.tables[0].title == "t"


def test_a_damaged_part_is_named_in_one_line(run: RunFolder) -> None:
    (run.path / "verdict.json").write_text('{"kind":\n')
    with pytest.raises(UserError, match=r"verdict\.json can't be read: JSONDecodeError: ") as raised:
        _ = run.verdict
    assert "\n" not in str(raised.value)


def test_weights_are_kept_and_checked(run: RunFolder) -> None:
    shared = nn.Linear(3, 2)
    tied = nn.ModuleList([shared, shared])
    save_weights(run.path, tied, {"name": "own"})
    assert run.finished
    other = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    load_weights(run.path, other)
    assert torch.equal(other[1].weight, shared.weight)
    with pytest.raises(UserError, match=r"can't be loaded: .*was the encoder another one\?"):
        load_weights(run.path, nn.Linear(3, 2))
    (run.path / "encoder.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"encoder\.safetensors can't be loaded"):
        load_weights(run.path, other)
