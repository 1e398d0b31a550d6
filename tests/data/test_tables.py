"""Tables in files: the same rows whatever the format, and errors that say where."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.data import tables
from likewise.data.tables import Texts, column_named, columns_of, read_table, text_columns, text_of, usual_columns
from likewise.errors import UserError
from mapped import is_mapped

ROWS = {"text": ["grün, und gut", 'says "hi"\nand goes', "x"], "section": ["a", "b", "a"], "n": ["1", "2.5", "-3"]}


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def a_table(folder: Path, suffix: str, rows: dict[str, list[Any]] = ROWS) -> Path:
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        pa.parquet.write_table(pa.table(rows), path)
    elif suffix == ".jsonl":
        lines = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
        written(path, "\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    else:
        split = "\t" if suffix == ".tsv" else ","
        lines = [split.join(map(quoted, row)) for row in [list(rows), *zip(*rows.values(), strict=True)]]
        written(path, "\n".join(lines))
    return path


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("suffix", tables.SUFFIXES)
def test_every_format_gives_the_same_rows(
    suffix: str, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGE", 0 if large else 1 << 20)
    path = a_table(tmp_path, suffix)
    assert tables.is_table(path)
    assert columns_of(path) == ["text", "section", "n"]
    table = read_table(path)
    assert table.to_pydict() == ROWS
    assert text_columns(table) == ["text", "section"]


def test_a_large_table_is_mapped_from_the_cache_and_read_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_table(tmp_path, ".csv", {"text": [f"row {i}" for i in range(5000)]})
    assert not is_mapped(read_table(path)["text"], cache)
    assert not (cache / "tables").exists()
    monkeypatch.setattr(tables, "LARGE", 0)
    table = read_table(path)
    assert is_mapped(table["text"], cache)
    assert len(list((cache / "tables").iterdir())) == 1
    monkeypatch.setattr(tables, "_rows", lambda *_: pytest.fail("read again"))
    assert read_table(path).equals(table)


def test_a_mark_at_the_beginning_and_blank_lines_are_no_text(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "a.csv", b"\xef\xbb\xbftext,n\r\n\r\na,1\r\n\r\n,2"))
    assert table.to_pydict() == {"text": ["a", ""], "n": ["1", "2"]}
    table = read_table(written(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "a"}\n\n{"text": "b"}\n'))
    assert table.to_pydict() == {"text": ["a", "b"]}


def test_a_column_of_numbers_that_ends_in_text_is_read(tmp_path: Path) -> None:
    rows = {"text": ["words"] * 3000, "label": [*map(str, range(2999)), "none"]}
    assert read_table(a_table(tmp_path, ".csv", rows)).to_pydict() == rows


def test_keys_that_not_every_line_has(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b", "label": 1}\n')
    assert columns_of(path) == ["text", "label"]
    assert read_table(path).to_pydict() == {"text": ["a", "b"], "label": [None, 1]}


def test_categories_are_what_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = pa.array(["b", "a", "b"]).dictionary_encode()
    pa.parquet.write_table(pa.table({"kind": values, "n": [1, 2, 3]}), path)
    table = read_table(path)
    assert table["kind"].to_pylist() == ["b", "a", "b"]
    assert text_columns(table) == ["kind"]
    assert text_of(table, "n", where="a").to_pylist() == ["1", "2", "3"]


BROKEN = {
    "empty csv": ("a.csv", b"", "a.csv is empty"),
    "blank csv": ("a.csv", b"\n\n", "a.csv is empty"),
    "empty jsonl": ("a.jsonl", b"\n", "a.jsonl is empty"),
    "header alone": ("a.tsv", b"text\tlabel\n", "a.tsv has no rows, only the columns text, label"),
    "latin1": ("a.csv", b"text,n\na,1\nb\xe9,2\n", r"a.csv is not UTF-8: line 3, byte 2 is 0xe9; save it as UTF-8"),
    "latin1 header": ("a.csv", b"t\xe9xt,n\na,1\n", r"a.csv is not UTF-8: line 1, byte 2 is 0xe9"),
    "latin1 jsonl": ("a.jsonl", b'{"text": "a"}\n' * 1500 + b'{"text": "\xff"}', "line 1,501, byte 11 is 0xff"),
    "utf16": ("a.csv", "text,n\na,1".encode("utf-16"), "a.csv is not UTF-8: it looks like UTF-16; save it as UTF-8"),
    "fields": ("a.csv", b"text,n\na,1\na,b,1\n", r"Row #3: Expected 2 columns, got 3: a,b,1; put what holds a comma"),
    "twice": ("a.csv", b"text,text\na,1\n", "a.csv has two columns named 'text'; rename one of them"),
    "no json": (
        "a.jsonl",
        b'{"text": "a"}\n{"text": b}\n',
        "a.jsonl: line 2 is not JSON: Expecting value at column 10",
    ),
    "no json far": ("a.jsonl", b'{"text": "a"}\n' * 1500 + b'{"text"', "a.jsonl: line 1,501 is not JSON"),
    "no object": ("a.jsonl", b'{"text": "a"}\n[1, 2]\n', r"line 2 must be an object like .*, got \[1, 2\]"),
    "types": ("a.jsonl", b'{"n": 1}\n{"n": "a"}\n', "a.jsonl: 'n' is number in one line and string in another"),
    "no parquet": ("a.parquet", b"PAR1", "a.parquet cannot be read as a table: "),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_said_in_one_line(
    case: str, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGE", 0 if large else 1 << 20)
    name, content, message = BROKEN[case]
    with pytest.raises(UserError, match=message) as raised:
        read_table(written(tmp_path / name, content))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert not tables.is_table(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"there is no file .*a\.csv"):
        columns_of(tmp_path / "a.csv")


def test_columns_by_name_and_by_usual_names() -> None:
    columns = ["Title", "Sektion", "TEXT", "id"]
    assert column_named("id", columns, where="a.csv", option="text_column") == "id"
    assert usual_columns(columns, ("text", "title")) == ["TEXT", "Title"]
    with pytest.raises(
        UserError, match=r"label_column: a\.csv has no column 'section', did you mean 'Sektion'\?; it has"
    ):
        column_named("section", columns, where="a.csv", option="label_column")
    with pytest.raises(UserError, match=r"it has Title, Sektion, TEXT, id$"):
        column_named("zzz", columns, where="a.csv", option="label_column")


def test_columns_that_hold_no_text() -> None:
    table = pa.table({"text": [["a"], ["b"]], "bytes": [b"a", b"b"], "gaps": ["", None]})
    with pytest.raises(UserError, match=r"a\.parquet: column 'text' must hold text, got list"):
        text_of(table, "text", where="a.parquet")
    with pytest.raises(UserError, match="column 'bytes' must hold text, got binary"):
        text_of(table, "bytes", where="a.parquet")
    assert text_columns(table) == ["gaps"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_texts_are_a_sequence_like_any_other(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | st.text(max_size=3), min_size=1, max_size=20))
    cut = data.draw(st.integers(0, len(values)))
    column = pa.chunked_array([pa.array(values[:cut], pa.string()), pa.array(values[cut:], pa.string())])
    rows = data.draw(st.none() | st.sets(st.integers(0, len(values) - 1)).map(sorted))
    chosen = values if rows is None else [values[i] for i in rows]
    expected = [value or "" for value in chosen]
    texts = Texts(column, None if rows is None else np.array(rows, dtype=np.int64))
    texts.CHUNK = data.draw(st.integers(1, 5))
    assert list(texts) == expected
    assert len(texts) == len(expected)
    assert [texts[i] for i in range(-len(expected), len(expected))] == expected * 2
    part = data.draw(st.slices(len(expected) + 2))
    assert texts[part] == expected[part]
    with pytest.raises(IndexError):
        texts[len(expected)]


WORDS = [f"word{i} of a sentence" for i in range(300)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("first", ["", "\ufeff", "sep={}\n"])
def test_the_delimiter_is_found(name: str, delimiter: str, first: str, tmp_path: Path) -> None:
    rows = "".join(f"{text}{delimiter}{i % 3}\n" for i, text in enumerate(WORDS))
    (tmp_path / name).write_text(f"{first.format(delimiter)}text{delimiter}label\n{rows}", encoding="utf-8")
    table = read_table(tmp_path / name)
    assert table.column_names == ["text", "label"]
    assert table["text"].to_pylist() == WORDS


def test_other_delimiters_in_texts_stay_where_they_are(tmp_path: Path) -> None:
    texts = ["one; two", "three", "four|five; six"]
    (tmp_path / "a.csv").write_text("text\n" + "\n".join(texts) + "\n")
    assert read_table(tmp_path / "a.csv")["text"].to_pylist() == texts
    (tmp_path / "b.csv").write_text("text,label;kind\n" + "".join(f"{text},a;b\n" for text in texts))
    assert read_table(tmp_path / "b.csv").column_names == ["text", "label;kind"]


def broken(rows: list[str], at: dict[int, str]) -> str:
    return "".join(f"{at.get(i, row)}\n" for i, row in enumerate(rows))


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_quote_that_swallows_rows_is_named_with_its_line(delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.csv" if delimiter == "," else "a.tsv")
    last = [f"{i % 3}{delimiter}{text}" for i, text in enumerate(WORDS)]
    cases = {
        "is not closed": {40: f'1{delimiter}"{WORDS[40]}'},
        "opens in line 42 and closes in line 92": {
            40: f'1{delimiter}"{WORDS[40]}',
            90: f'0{delimiter}{WORDS[90]}"',
        },
        "in or after line 42 is not closed": {40: f'1{delimiter}"{WORDS[40]}" said', 90: last[90]},
    }
    for message, at in cases.items():
        path.write_text(f"label{delimiter}text\n" + broken(last, at))
        with pytest.raises(UserError, match=message):
            read_table(path)


def test_a_quote_that_is_never_closed_in_a_single_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + broken(WORDS, {40: f'"{WORDS[40]}', 90: f'"{WORDS[90]}"'}))
    with pytest.raises(UserError, match="a quote in or after line 42 is not closed"):
        read_table(path)


def test_quotes_that_are_right_are_read(tmp_path: Path) -> None:
    texts = ['He said "hello, world"\nand left', '5" pipe', "one,\ntwo,\nthree,\nfour", "plain"]
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text, "a") for text in texts)])
    assert read_table(path)["text"].to_pylist() == texts
    path.write_text('text,label\na 5" pipe,x\nplain,y\n')
    assert read_table(path)["text"].to_pylist() == ['a 5" pipe', "plain"]
