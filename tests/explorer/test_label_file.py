"""labels.csv: what is read of it, what is written, and what is left as it was."""

from __future__ import annotations

import csv
import errno
from pathlib import Path

import pytest

from likewise.errors import UserError
from likewise.evaluation import predictions
from likewise.explorer.label_file import LabelFile

IDS = ["a.png", "=b.png", 'c "d", e.png', "f\ng\r.png", "<i>.png"]


def test_any_name_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    kept = LabelFile(path, IDS)
    assert not path.exists()
    for place in range(5):
        kept.give([place], f"label {place}")
    again = LabelFile(path, IDS)
    assert [again.names[i] for i in again.given] == [f"label {place}" for place in range(5)]
    assert again.unknown == 0
    with path.open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["a.png", "'=b.png", *IDS[2:]]


def test_other_columns_and_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("\ufeffrank,id,label,text\n1,x.png,old,one\n2,a.png,,two\n", encoding="utf-8")
    kept = LabelFile(path, IDS)
    assert kept.unknown == 1
    kept.give([0, 4], "new")
    assert path.read_text() == "rank,id,label,text\n1,x.png,old,one\n2,a.png,new,two\n,<i>.png,new,\n"
    kept.give([0], "")
    kept.undo()
    kept.undo()
    assert path.read_text() == "rank,id,label,text\n1,x.png,old,one\n2,a.png,,two\n"
    assert kept.undoable == 0


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.csv"
    kept = LabelFile(path, IDS)
    kept.give([0], "one")
    before = path.read_bytes(), kept.given.tolist(), kept.names.copy()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(predictions.csv, "writer", full)
    for change in (lambda: kept.give([0, 1], "two"), kept.undo):
        with pytest.raises(UserError, match="the disk is full; what was there is kept"):
            change()
    assert (path.read_bytes(), kept.given.tolist(), kept.names) == before
    monkeypatch.undo()
    kept.undo()
    assert path.read_text() == "id,label\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", None),
        (b"id,label\n\n", None),
        (b"name,label\na,b\n", "must have the columns id and label, got name, label"),
        (b"id,label\na\n", "line 2 of .* must have 2 values, got 1"),
        (b'id,label\n"a,b\n', "can't be read as CSV"),
        (b"id,label\n\xff,b\n", "can't be read as CSV"),
    ],
)
def test_what_is_no_table_of_labels_is_refused(tmp_path: Path, content: bytes, why: str | None) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    if why is None:
        assert LabelFile(path, IDS).given.tolist() == [-1] * 5
    else:
        with pytest.raises(UserError, match=why):
            LabelFile(path, IDS)
