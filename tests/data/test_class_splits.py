"""Splits by class: no class is in both parts, and the same ones are whatever the samples are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from likewise.data.arrays import ArraySource
from likewise.data.class_splits import by_class
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source
from likewise.errors import UserError


def source(labels: list[int], classes: list[str]) -> ArraySource:
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None].repeat(4, 2).repeat(4, 3)
    return ArraySource(pixels, np.array(labels), name="things", classes=classes)


def classes_of(part: Source) -> set[str]:
    return {part.classes[label] for label in part.labels().tolist()}


@given(st.lists(st.integers(-1, 9), min_size=2, max_size=60))
def test_no_class_is_in_both_parts(labels: list[int]) -> None:
    names = [f"class {number}" for number in range(10)]
    there = {label for label in labels if label >= 0}
    if len(there) < 2:
        return
    base, novel = by_class(source(labels, names))
    assert classes_of(base) | classes_of(novel) == {names[label] for label in there}
    assert not classes_of(base) & classes_of(novel)
    assert len(classes_of(novel)) == len(there) // 2
    assert sorted(torch.cat([base.indices, novel.indices]).tolist()) == [i for i, k in enumerate(labels) if k >= 0]
    for part in (base, novel):
        named = [part.classes[label] for label in part.labels().tolist()]
        assert named == [names[labels[i]] for i in part.indices.tolist()]
        assert set(part.classes) == set(named)
        assert part.read(torch.arange(len(part)))[:, 0, 0, 0].tolist() == part.indices.tolist()
    assert any("without a label" in note for note in novel.notes) == (-1 in labels)


def test_the_parts_depend_on_the_names_alone() -> None:
    names = ["ant", "bee", "cat", "dog", "eel", "fox"]
    once = classes_of(by_class(source([0, 1, 2, 3, 4, 5], names))[1])
    again = classes_of(by_class(source([5, 5, 4, 3, 2, 2, 1, 0], names[::-1]))[1])
    assert once == again
    fewer = classes_of(by_class(source([0, 1, 2, 3, 4], names[:5]))[1])
    assert len(once - fewer) <= 1 + ("fox" in once)


def test_parts_of_folders_tables_and_named_sets(tmp_path: Path) -> None:
    for name in ("ant", "bee", "cat", "dog"):
        for number in range(2):
            path = tmp_path / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), number).save(path)
    rows = "".join(f"words about {name},{name}\n" for name in ("ant", "bee", "cat", "dog"))
    (tmp_path / "texts.csv").write_text("text,label\n" + rows)
    parts = [classes_of(open_source(f"{tmp_path}/{data}:novel")) for data in ("photos", "texts.csv")]
    assert parts[0] == parts[1]
    assert len(parts[0]) == 2
    base, novel = open_source("digits:base"), open_source("digits:novel")
    assert (base.name, novel.name) == ("digits:train:base", "digits:train:novel")
    assert len(base) + len(novel) == len(open_source("digits:train"))
    assert len(classes_of(base)) == len(classes_of(novel)) == 5
    again = novel.fitted(ReadOptions(size=8))
    assert again.classes == novel.classes
    assert torch.equal(again.labels(), novel.labels())


def test_a_subfolder_of_that_name_is_meant_first(tmp_path: Path) -> None:
    for name in ("base/ant", "base/bee", "novel/cat", "novel/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (8, 8), 3).save(tmp_path / name / "1.png")
    assert open_source(f"{tmp_path}:novel").classes == ["cat", "dog"]


def test_what_cannot_be_split_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="things must have two classes or more to be split by class, got 1"):
        by_class(source([0, 0], ["ant"]))
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    with pytest.raises(UserError, match="labels"):
        open_source(f"{tmp_path}/texts.txt:base")
