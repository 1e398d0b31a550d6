"""Documents from files, tables, folders and memory: which they are, what labels they have, and what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from likewise.data import tables, text, tokens
from likewise.data.arrays import ArraySource
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.source import Joined, Source, Subset
from likewise.data.splits import hold_out
from likewise.data.text import TextSource, corpus
from likewise.data.tokens import train_tokenizer
from likewise.errors import UserError
from mapped import is_mapped

TEXTS = ["a small library", "an old game", "two fast editors of sound", "new images, the file", "reading a server"]
SECTIONS = ["libs", "games", "sound", "libs", "games"]


def opened(data: Any, split: str | None = None, *, progress: bool = False, **read_options: Any) -> TextSource:
    source = text.open_source(Request(data, split, None, ReadOptions(**read_options), progress))
    assert source is not None
    return source


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def a_table(path: Path, **columns: Sequence[Any]) -> Path:
    if path.suffix == ".parquet":
        pa.parquet.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        written(path, "".join(json.dumps(row) + "\n" for row in rows))
    else:
        split = "\t" if path.suffix == ".tsv" else ","
        rows = [list(columns), *zip(*columns.values(), strict=True)]
        written(path, "".join(split.join(f'"{value}"' for value in row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_rows_of_a_table(suffix: str, tmp_path: Path) -> None:
    source = opened(a_table(tmp_path / f"packages{suffix}", text=TEXTS, section=SECTIONS))
    assert isinstance(source, Source)
    assert (source.name, source.modality, len(source), source.skipped) == ("packages", "text", 5, [])
    assert list(source.documents) == TEXTS
    assert list(source.ids) == ["0", "1", "2", "3", "4"]
    assert source.classes == ["games", "libs", "sound"]
    assert source.labels().tolist() == [1, 0, 2, 1, 0]
    assert source.labels().dtype == torch.int64
    assert source.notes == ["the text is column 'text', labels are column 'section'"]
    train, test = hold_out(source)
    assert sorted([*corpus(train), *corpus(test)]) == sorted(TEXTS)


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = written(
        tmp_path / "corpus.txt", b"\xef\xbb\xbf one\xc3\xa9 \r\n\n  \t\ntwo\xe2\x80\xa8lines\n\xe3\x80\x80\nthree"
    )
    source = opened(path)
    assert list(source.documents) == [" oneé ", "two\u2028lines", "three"]
    assert source.documents[-1] == "three"
    assert source.documents[:2] == [" oneé ", "two\u2028lines"]
    assert list(source.ids) == ["0", "3", "5"]
    assert source.notes == ["3 of 6 lines are empty: skipped"]
    assert (source.name, source.classes) == ("corpus", [])
    with pytest.raises(UserError, match="corpus has no labels; give a table with a column of them, or a pair"):
        source.labels()


def test_a_file_that_is_one_document(tmp_path: Path) -> None:
    source = opened(written(tmp_path / "novel.txt", "\n\nChapter one\nIt rained.\n"), per_file=True)
    assert list(source.documents) == ["Chapter one\nIt rained."]
    assert list(source.ids) == ["novel.txt"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(["part10/a.txt", "part2/b.TXT", "part2/deep/c.txt", "part1/d.txt"]):
        written(tmp_path / "books" / name, f"book {i}\nsays é\n")
    written(tmp_path / "books" / "part1" / "notes.md", "no text")
    return tmp_path / "books"


@pytest.mark.parametrize("per_file", [False, True])
def test_files_of_a_folder(folder: Path, per_file: bool) -> None:
    source = opened(folder, per_file=per_file)
    assert source.name == "books"
    assert list(source.ids) == ["part1/d.txt", "part10/a.txt", "part2/b.TXT", "part2/deep/c.txt"]
    assert list(source.documents) == [f"book {i}\nsays é" for i in (3, 0, 1, 2)]
    assert source.classes == ["part1", "part2", "part10"]
    assert source.labels().tolist() == [0, 2, 1, 1]
    assert list(opened(folder, "part2").ids) == ["b.TXT", "deep/c.txt"]


def test_files_of_a_folder_are_read_once(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(folder)
    monkeypatch.setattr(text, "_whole", lambda path: pytest.fail("read again"))
    again = opened(folder)
    assert is_mapped(again.documents.column, cache)
    assert list(again.documents) == list(first.documents)


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_files_that_are_empty_or_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    written(folder / "part1" / "blank.txt", " \n")
    written(folder / "part1" / "none.txt", "")
    (folder / "part1" / "gone.txt").symlink_to(tmp_path / "nothing")
    source = opened(folder)
    assert len(source) == 4
    assert source.skipped == [("part1/gone.txt", "No such file or directory")]
    assert source.notes == ["2 of 6 files are empty: skipped"]


def test_loose_files_have_no_label(folder: Path) -> None:
    before = opened(folder)
    written(folder / "loose.txt", "text")
    source = opened(folder)
    assert source.classes == before.classes
    assert source.labels()[source.ids.index("loose.txt")] == -1
    assert source.notes[-1] == "labels: 4 of 5 documents"


@pytest.mark.parametrize("kind", [list, tuple])
def test_texts_in_memory(kind: type) -> None:
    texts = kind(TEXTS)
    source = opened(texts)
    assert source.documents is texts
    assert (source.name, len(source), list(source.ids)) == ("texts", 5, ["0", "1", "2", "3", "4"])
    assert source.classes == []
    assert list(opened((texts[0], texts[1])).documents) == TEXTS[:2]


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (SECTIONS, ["games", "libs", "sound"], [1, 0, 2, 1, 0]),
        ([10, 9, 10, 2, 2], ["2", "9", "10"], [2, 1, 2, 0, 0]),
        (np.array([-1, 1, 1, -1, 1]), ["-1", "1"], [0, 1, 1, 0, 1]),
        (np.array([-1, 5, 5, -1, 5]), ["5"], [-1, 0, 0, -1, 0]),
        (np.array([np.nan, 5, 3, np.nan, 5]), ["3", "5"], [-1, 1, 0, -1, 1]),
        (torch.tensor([True, False, False, True, True]), ["False", "True"], [1, 0, 0, 1, 1]),
        (["a10", "a9", "a9", "a10", "a1"], ["a1", "a9", "a10"], [2, 1, 1, 2, 0]),
    ],
)
def test_a_pair_of_texts_and_labels(labels: Any, classes: list[str], numbers: list[int]) -> None:
    source = opened((TEXTS, labels))
    assert source.classes == classes
    assert source.labels().tolist() == numbers


def test_what_is_empty_is_left_out_with_its_label(tmp_path: Path) -> None:
    texts = [TEXTS[0], "", TEXTS[1], "  ", TEXTS[2]]
    from_memory = opened((texts, list("abcde")))
    path = a_table(tmp_path / "a.jsonl", text=[*texts[:3], None, TEXTS[2]], label=list("abcde"))
    for source, things in ((from_memory, "texts"), (opened(path), "rows")):
        assert list(source.documents) == TEXTS[:3]
        assert list(source.ids) == ["0", "2", "4"]
        assert source.classes == ["a", "c", "e"]
        assert source.labels().tolist() == [0, 1, 2]
        assert source.notes[-1] == f"2 of 5 {things} are empty: skipped"
    assert opened(["a", ""]).notes == ["1 of 2 texts is empty: skipped"]


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    numbers = list("12345")
    title = opened(a_table(tmp_path / "a.csv", id=numbers, Title=TEXTS, by=SECTIONS))
    assert (list(title.documents), title.classes) == (TEXTS, [])
    only = opened(a_table(tmp_path / "b.csv", id=numbers, words=TEXTS, Category=SECTIONS))
    assert (list(only.documents), only.classes) == (TEXTS, ["games", "libs", "sound"])
    assert only.notes == ["the text is column 'words', labels are column 'Category'"]
    alone = opened(a_table(tmp_path / "c.csv", topic=TEXTS))
    assert (list(alone.documents), alone.classes, alone.notes) == (TEXTS, [], [])
    several = opened(a_table(tmp_path / "d.csv", text=TEXTS, topic=SECTIONS, genre=SECTIONS))
    assert several.classes == []
    assert several.notes[0] == "no labels are taken: topic or genre could be, say which with label_column"


def test_columns_are_named(tmp_path: Path) -> None:
    path = a_table(tmp_path / "a.csv", text=TEXTS, other=TEXTS[::-1], label=SECTIONS, n=list("12121"))
    source = opened(path, text_column="other", label_column="n")
    assert list(source.documents) == TEXTS[::-1]
    assert source.classes == ["1", "2"]
    assert source.labels().tolist() == [0, 1, 0, 1, 0]
    assert source.notes == []
    numbers = opened(path, text_column="n")
    assert list(numbers.documents) == list("12121")
    assert opened(path, text_column="label").classes == []


def test_labels_that_are_missing_or_are_none(tmp_path: Path) -> None:
    gaps = opened(a_table(tmp_path / "a.csv", text=["", *TEXTS], section=["x", "a", "", "b", "", "a"]))
    assert (gaps.classes, gaps.labels().tolist()) == (["a", "b"], [0, -1, 1, -1, 0])
    assert gaps.notes[-1] == "labels: 3 of 5 documents"
    minus = opened(a_table(tmp_path / "m.csv", text=TEXTS, label=["10", "-1", "9", "-1", "nan"]))
    assert (minus.classes, minus.labels().tolist()) == (["9", "10"], [1, -1, 0, -1, -1])
    floats = opened(a_table(tmp_path / "f.jsonl", text=TEXTS, label=[3.0, None, 0.0, None, 3.0]))
    assert (floats.classes, floats.labels().tolist()) == (["0", "3"], [1, -1, 0, -1, 1])
    nothing = opened(a_table(tmp_path / "n.csv", text=TEXTS, label=["", "", "-1", "", ""]))
    assert (nothing.classes, nothing.notes[-1]) == ([], "the text is column 'text', labels are column 'label'")
    with pytest.raises(UserError, match="column 'label' gives no labels: all of its 5 values say that there is none"):
        nothing.labels()
    scores = opened(a_table(tmp_path / "a.jsonl", text=TEXTS, label=[0.5, 1.5, 2, 1, 3]))
    assert scores.classes == []
    with pytest.raises(UserError, match="column 'label' must hold labels, whole numbers or text, got double"):
        scores.labels()


@pytest.mark.parametrize(
    ("columns", "read_options", "message"),
    [
        (
            {"a": TEXTS, "b": TEXTS},
            {},
            r"a\.csv: say with text_column which one is the text: a, b; or take two as pairs, with method clip "
            r"and columns a b$",
        ),
        ({"a": list("12345"), "b": list("12345")}, {}, r"a\.csv has no column of text; it has a, b$"),
        (
            {"text": TEXTS},
            {"text_column": "txt"},
            r"text_column: .*a\.csv has no column 'txt', did you mean 'text'\?; it has",
        ),
        ({"text": TEXTS}, {"label_column": "zzz"}, r"label_column: .*a\.csv has no column 'zzz'; it has text$"),
        (
            {"text": [" "], "label": ["a"]},
            {"text_column": "text"},
            r"a\.csv holds no text: all of its 1 rows are empty",
        ),
    ],
)
def test_columns_that_are_not_there(
    columns: dict[str, list[str]], read_options: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        opened(a_table(tmp_path / "a.csv", **columns), **read_options)


@pytest.mark.parametrize(
    ("content", "per_file", "message"),
    [
        (b"", False, r"a\.txt is empty"),
        (b"", True, r"a\.txt is empty"),
        (b"\n \n", False, r"a\.txt holds no text: all of its 2 lines are empty"),
        (b"\n \n", True, r"a\.txt holds no text, only white space"),
        (b"fine\n" * 9 + b"caf\xe9\n", False, r"a\.txt is not UTF-8: line 10, byte 4 is 0xe9; save it as UTF-8"),
        (b"fine\n" * 9 + b"caf\xe9\n", True, r"a\.txt is not UTF-8: line 10, byte 4 is 0xe9"),
        ("text".encode("utf-16"), False, r"a\.txt is not UTF-8: it looks like UTF-16"),
    ],
)
def test_files_without_text(content: bytes, per_file: bool, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        opened(written(tmp_path / "a.txt", content), per_file=per_file)


def test_folders_without_text(folder: Path, tmp_path: Path) -> None:
    whole = len(opened(folder))
    written(folder / "part2" / "bad.txt", b"one\ntw\xffo")
    some = opened(folder)
    assert len(some) == whole
    (skipped,) = [why for file, why in some.skipped if file == "part2/bad.txt"]
    assert skipped.startswith("is not UTF-8: line 2, byte 3 is 0xff")
    written(tmp_path / "latin" / "a.txt", "café".encode("latin1"))
    with pytest.raises(
        UserError, match=r"none of its 1 \.txt files holds text that can be read \(a\.txt is not UTF-8: line 1"
    ):
        opened(tmp_path / "latin")
    written(tmp_path / "blank" / "a.txt", "")
    with pytest.raises(UserError, match=r"none of its 1 \.txt files holds text"):
        opened(tmp_path / "blank")
    with pytest.raises(UserError, match="has no subfolder 'part3', did you mean 'part"):
        opened(folder, "part3")


def test_texts_that_are_none() -> None:
    with pytest.raises(UserError, match="text 1 of 2 must be a string, got a int"):
        opened(["a", 1])
    with pytest.raises(UserError, match="text 1 of 2 cannot be written in UTF-8: surrogates not allowed"):
        opened(["a", "\ud800"])
    with pytest.raises(UserError, match="the list holds no text: all of its 2 texts are empty"):
        opened(["", " "])
    with pytest.raises(UserError, match="5 texts need as many labels, got 2"):
        opened((TEXTS, [1, 2]))


def test_texts_of_which_some_have_no_label() -> None:
    source = opened((TEXTS, ["a", None, "b", "a", "b"]))
    assert (source.classes, source.labels().tolist()) == (["a", "b"], [0, -1, 1, 0, 1])


def test_what_is_no_text_is_left_to_others(tmp_path: Path) -> None:
    table = a_table(tmp_path / "a.csv", text=TEXTS)
    (tmp_path / "empty").mkdir()
    picture = written(tmp_path / "a.png", b"")
    for data in ([], [1, 2], {"a": 1}, "text", np.zeros(3), picture, tmp_path / "no.txt", tmp_path / "empty"):
        assert text.open_source(Request(data)) is None
    assert text.open_source(Request(table, None, None, ReadOptions(modality="pair"))) is None
    assert text.open_source(Request(table, None, None, ReadOptions(modality="text"))) is not None
    with pytest.raises(UserError, match=r"a\.csv is one file and has no split 'test'"):
        opened(table, "test")


def test_hugging_face_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"text": [TEXTS[0], "", *TEXTS[1:]], "kind": [1, 0, 0, 2, 1, 1], "n": [1, 2, 3, 4, 5, 6]}
    features = datasets.Features(
        text=datasets.Value("string"), kind=datasets.ClassLabel(names=["y", "x", "z", "w"]), n=datasets.Value("int64")
    )
    dataset = datasets.Dataset.from_dict(rows, features=features)
    source = opened(dataset)
    assert list(source.documents) == TEXTS
    assert source.classes == ["y", "x", "z", "w"]
    assert source.labels().tolist() == [1, 0, 2, 1, 1]
    assert list(source.ids) == ["0", "2", "3", "4", "5"]
    assert opened(dataset, label_column="n").classes == ["1", "3", "4", "5", "6"]
    assert list(opened(dataset.select([5, 0, 3])).documents) == [TEXTS[4], TEXTS[0], TEXTS[2]]
    assert list(opened(dataset["text"]).documents) == TEXTS
    hidden = datasets.Dataset.from_dict({"text": TEXTS, "kind": [-1, 0, 1, 2, 3]}, features=datasets.Features(
        text=features["text"], kind=features["kind"]
    ))  # fmt: skip
    assert opened(hidden).classes == ["y", "x", "z", "w"]
    assert opened(hidden).labels().tolist() == [-1, 0, 1, 2, 3]


def test_hugging_face_datasets_of_images_are_left_to_others() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(image=datasets.Image(), caption=datasets.Value("string"))
    dataset = datasets.Dataset.from_dict({"image": [None] * 5, "caption": TEXTS}, features=features)
    assert text.open_source(Request(dataset)) is None
    assert list(opened(dataset, modality="text").documents) == TEXTS
    numbers = datasets.Dataset.from_dict({"n": [1, 2]})
    assert text.open_source(Request(numbers)) is None
    with pytest.raises(UserError, match=r"has no column of text; it has n$"):
        opened(numbers, modality="text")


@pytest.fixture(scope="module")
def tokenizer() -> str:
    return train_tokenizer(TEXTS * 3, "wordpiece", 200)


def test_without_a_tokenizer_nothing_is_read(tokenizer: str) -> None:
    source = opened(TEXTS)
    assert source.lengths is None
    assert source.fitted(ReadOptions(size=3)) is source
    with pytest.raises(UserError, match="texts has no tokenizer yet: read it with tokenizer="):
        source.read(torch.arange(2))


def test_fitted_sources_read_token_ids(tokenizer: str, tmp_path: Path) -> None:
    source = opened((TEXTS, SECTIONS))
    read = source.fitted(ReadOptions(tokenizer=tokenizer, max_tokens=6))
    encoder, _ = tokens.load(tokenizer)
    rows = [encoder.encode(one).ids for one in TEXTS]
    rows = [row if len(row) <= 6 else [*row[:5], 3] for row in rows]
    assert read.lengths is not None
    assert read.lengths.tolist() == [len(row) for row in rows]
    assert read.read(torch.tensor([1, 0])).tolist() == [rows[1] + [0] * (len(rows[0]) - len(rows[1])), rows[0]]
    assert read.read(torch.tensor([1])).shape == (1, len(rows[1]))
    assert (list(read.documents), read.classes, read.labels().tolist()) == (TEXTS, source.classes, [1, 0, 2, 1, 0])
    assert source.lengths is None
    path = written(tmp_path / "tokenizer.json", tokenizer)
    for same in (ReadOptions(tokenizer=tokenizer), ReadOptions(tokenizer=str(path), max_tokens=6), ReadOptions()):
        assert read.fitted(same) is read
    longer = read.fitted(ReadOptions(tokenizer=tokenizer, max_tokens=9))
    assert int(longer.lengths.max()) > 6  # type: ignore[union-attr]
    assert (read.cut, longer.cut) == (sum(len(encoder.encode(one).ids) > 6 for one in TEXTS), 0)


def test_the_second_start_tokenises_nothing(tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_table(tmp_path / "a.csv", text=TEXTS)
    first = opened(path).fitted(ReadOptions(tokenizer=tokenizer)).read(torch.arange(5))
    monkeypatch.setattr(tokens, "_encode", lambda *_: pytest.fail("tokenised again"))
    for data in (path, a_table(tmp_path / "b.parquet", words=TEXTS), TEXTS):
        assert torch.equal(opened(data).fitted(ReadOptions(tokenizer=tokenizer)).read(torch.arange(5)), first)


def test_corpus_parts_and_unions() -> None:
    source = opened(TEXTS)
    part = Subset(source, torch.tensor([4, 1]))
    both = Joined([part, source], name="both")
    expected = [TEXTS[4], TEXTS[1], *TEXTS]
    documents = corpus(both)
    assert list(documents) == expected
    assert [documents[i] for i in range(-7, 0)] == expected
    assert documents[1:4] == expected[1:4]
    assert list(corpus(Subset(both, torch.tensor([6, 0])))) == [TEXTS[4], TEXTS[4]]
    with pytest.raises(IndexError):
        documents[7]

    photos = ArraySource(np.zeros((2, 1, 4, 4), np.uint8), name="photos")
    with pytest.raises(UserError, match="photos holds no documents: its modality is image, not text"):
        corpus(photos)


def test_a_large_table_stays_on_the_disk(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE", 0)
    path = a_table(tmp_path / "a.csv", text=[f"document number {i}" for i in range(20_000)])
    source = opened(path)
    assert is_mapped(source.documents.column, cache)
    assert source.documents[19_999] == "document number 19999"
