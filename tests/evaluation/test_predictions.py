"""Predictions as files: what is in them, whatever the names and labels are."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.evaluation.predictions import (
    PredictionParts,
    check_predictions_suffix,
    safe_cell,
    schema_of,
    write_tables,
)

HOSTILE = ["=1+1", "@x", "-cmd", "+1", "-0.5", 'a "quoted", name', "two\nlines", "ä"]


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    schema = schema_of("multilabel")
    rows = {
        "id": HOSTILE,
        "label": [[each, "b"] for each in HOSTILE],
        "probability": [[0.5, 0.25]] * len(HOSTILE),
        "abstained": [False] * len(HOSTILE),
    }
    for suffix in (".csv", ".jsonl", ".parquet"):
        write_tables(tmp_path / f"p{suffix}", suffix, iter([pa.table(rows, schema=schema)] * 2), schema)
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [
        *("'=1+1", "'@x", "'-cmd", "+1", "-0.5", 'a "quoted", name', "two\nlines", "ä"),
    ] * 2
    assert found[0] == {"id": "'=1+1", "label": "'=1+1;b", "probability": "0.5;0.25", "abstained": "false"}
    as_json = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert as_json == pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["id"] for row in as_json] == HOSTILE * 2
    assert safe_cell("-1") == "-1"


def test_parts_of_another_key_are_not_used(tmp_path: Path) -> None:
    schema = schema_of("regression")
    table = pa.table({"id": ["a"], "value": [0.5]}, schema=schema)
    parts = PredictionParts(tmp_path / "p.csv", "one", schema)
    parts.write(0, table)
    assert PredictionParts(tmp_path / "p.csv", "one", schema).read(0) == table
    assert parts.read(1) is None
    again = PredictionParts(tmp_path / "p.csv", "two", schema)
    assert again.read(0) is None
    again.write(0, table)
    again.finish(1)
    assert (tmp_path / "p.csv").read_text() == "id,value\na,0.5\n"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_a_link_in_the_place_of_the_parts_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    (tmp_path / ".p.csv.parts").symlink_to(outside)
    parts = PredictionParts(tmp_path / "p.csv", "one", schema_of("regression"))
    assert not parts.folder.is_symlink()
    assert [path.name for path in outside.iterdir()] == ["mine.txt"]


def test_the_suffix_says_what_to_write(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl"):
        check_predictions_suffix(tmp_path / name)
    for name in ("a", "a.CSV", "a.txt", "a.csv.gz"):
        with pytest.raises(ValueError, match=r"out must end in \.parquet, \.csv or \.jsonl"):
            check_predictions_suffix(tmp_path / name)
