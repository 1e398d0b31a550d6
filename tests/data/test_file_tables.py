"""Tables that name files: which file a row means, and what is said where it means none or several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.data.file_tables import KnownFiles
from likewise.data.open import open_source
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source
from likewise.data.splits import splits
from likewise.errors import UserError


def save(*paths: Path) -> None:
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i).save(path, "PNG")


def opened(data: Any, **how: Any) -> Source:
    return open_source(data, progress=False, **how)


def labels(source: Source) -> dict[str, str]:
    return {
        str(id): source.classes[label] if label >= 0 else ""
        for id, label in zip(source.ids, source.labels().tolist(), strict=True)
    }


@pytest.mark.parametrize(
    ("value", "start", "found"),
    [
        ("a.png", "", ["a.png"]),
        ("./x/a.png", "", ["x/a.png"]),
        ("x\\a.png", "", ["x/a.png"]),
        ("b", "", ["x/b.png"]),
        ("x/b", "", ["x/b.png"]),
        ("y/x/b", "", []),
        ("photos/x/b.png", "", ["x/b.png"]),
        ("{root}/y/c.png", "", ["y/c.png"]),
        ("/elsewhere/y/c.png", "", []),
        ("../photos/y/c.png", "", ["y/c.png"]),
        ("c.png", "", ["y/c.png", "z/c.png"]),
        ("c.png", "z", ["z/c.png"]),
        ("z/c", "", ["z/c.png"]),
        ("v1.2", "", ["v1.2.png"]),
        ("v1", "", []),
        ("a.jpg", "", []),
        ("", "", []),
        (" ./ ", "", []),
    ],
)
def test_what_a_value_means(value: str, start: str, found: list[str], tmp_path: Path) -> None:
    root = tmp_path / "photos"
    known = KnownFiles(root, ["a.png", "x/a.png", "x/b.png", "y/c.png", "z/c.png", "v1.2.png"])
    assert known.find(value.format(root=root), root / start) == found


def test_paths_that_lead_nowhere_are_looked_for_beside_the_table(tmp_path: Path) -> None:
    save(*(tmp_path / name for name in ("one/a.png", "two/b.png", "one/c.png", "two/c.png", "deep/er/d.png")))
    (tmp_path / "list.csv").write_text("file,kind,label\na.png,p,x\nb.png,q,y\nc.png,r,x\nd.png,s,y\n,t,x\n")
    source = opened(tmp_path / "list.csv")
    assert labels(source) == {"one/a.png": "x", "two/b.png": "y"}
    assert source.skipped == [
        ("c.png", f"could be one/c.png or two/c.png: give its path from {tmp_path}"),
        ("d.png", "No such file or directory"),
        ("row 5", "no path"),
    ]


def test_numbers_may_name_files_and_ages_do_not(tmp_path: Path) -> None:
    save(*(tmp_path / "images" / f"{i}.png" for i in range(40)))
    rows = "".join(json.dumps({"age": i % 7, "id": i, "diagnosis": "xyz"[i % 3]}) + "\n" for i in range(40))
    (tmp_path / "meta.jsonl").write_text(rows)
    source = opened(tmp_path / "meta.jsonl", label_column="diagnosis")
    assert source.notes == ["images are column 'id', labels are column 'diagnosis'"]
    assert labels(source) == {f"images/{i}.png": "xyz"[i % 3] for i in range(40)}


def test_a_table_with_texts_beside_images_of_these_names_is_texts(tmp_path: Path) -> None:
    save(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "tweets.csv").write_text("id,text,label\na,what a day,x\nb,what a night,y\n")
    assert opened(tmp_path / "tweets.csv").modality == "text"
    assert opened(tmp_path / "tweets.csv", modality="image").modality == "image"


def test_metadata_in_each_split(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for split, kinds in (("train", "xy"), ("test", "yx")):
        save(photos / split / "a.png", photos / split / "b.png")
        rows = [json.dumps({"file_name": f"{name}.png", "label": kind}) for name, kind in zip("ab", kinds, strict=True)]
        (photos / split / "metadata.jsonl").write_text("\n".join(rows))
    assert splits(photos) == {"pretrain": f"{photos}:train", "train": f"{photos}:train", "test": f"{photos}:test"}
    assert labels(opened(f"{photos}:train")) == {"a.png": "x", "b.png": "y"}
    assert labels(opened(f"{photos}:test")) == {"a.png": "y", "b.png": "x"}
    assert labels(opened(photos)) == {
        "test/a.png": "y", "test/b.png": "x", "train/a.png": "x", "train/b.png": "y",
    }  # fmt: skip
    # One table for both splits, which names files from the folder.
    table = tmp_path / "labels.csv"
    table.write_text("file,label\ntrain/a.png,p\ntrain/b.png,q\ntest/a.png,p\n")
    assert list(splits(photos, ReadOptions(labels=str(table)))) == ["pretrain", "train", "test"]
    assert labels(opened(f"{photos}:test", labels=str(table))) == {"a.png": "p", "b.png": ""}
    assert not any("name no file" in note for note in opened(f"{photos}:test", labels=str(table)).notes)
    table.write_text("file,label\na.png,p\nb.png,q\n")
    with pytest.raises(UserError, match=r"row 1 says 'a\.png', which could be t\w+/a\.png or "):
        opened(f"{photos}:test", labels=str(table))


def test_metadata_without_labels_leaves_the_subfolders(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "x" / "a.png", tmp_path / "photos" / "y" / "b.png")
    metadata = tmp_path / "photos" / "metadata.csv"
    metadata.write_text("file_name,width\nx/a.png,8\ny/b.png,8\n")
    source = opened(tmp_path / "photos")
    assert source.classes == ["x", "y"]
    assert source.notes == ["metadata.csv has no column of labels: name it with label_column"]
    metadata.write_text("name,width\nnothing,8\n")
    assert opened(tmp_path / "photos").notes == [
        f"metadata.csv is not used: none of its columns names images of {tmp_path / 'photos'}"
    ]


def test_texts_take_labels_of_a_table(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / "notes").mkdir(exist_ok=True)
        (tmp_path / "notes" / f"{name}.txt").write_text(f"note {name}")
    (tmp_path / "labels.csv").write_text("file,label\na,x\nb,\nc,y\n")
    source = opened(tmp_path / "notes", labels=str(tmp_path / "labels.csv"))
    assert (source.modality, source.classes, source.labels().tolist()) == ("text", ["x", "y"], [0, -1, 1])


def test_lists_of_paths(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    save(*paths)
    source = opened([*map(str, paths)])
    assert (source.modality, list(source.ids)) == ("image", [str(path) for path in paths])
    assert source.read(torch.arange(3))[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert labels(opened((paths, np.array([2, 7, 2])))) == dict(zip(map(str, paths), "272", strict=True))
    assert opened(["a text", "that names a.png", "and another"]).modality == "text"
    assert opened(["x.png", "y.png", "z.png"], modality="text").modality == "text"
    with pytest.raises(UserError, match=r"^none of the 2 images can be read \(x\.png: No such file or directory\)$"):
        opened(["x.png", "y.png"])
    with pytest.raises(UserError, match=r"^3 images need as many labels, got labels of shape \(2,\)$"):
        opened((paths, [0, 1]))
    with pytest.raises(UserError, match="the images have no labels; give them as a pair"):
        opened(paths).labels()


def test_the_range_of_scans_is_that_of_their_table_too(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(tmp_path / "b.png")
    (tmp_path / "list.csv").write_text("image,label\na.png,x\nb.png,y\n")
    for data in (tmp_path / "list.csv", [tmp_path / "a.png", tmp_path / "b.png"]):
        source = opened(data, range=(0, 4000))
        assert source.read(torch.arange(2))[:, 0, 0, 0].tolist() == [64, 191]


def test_images_of_other_endings_have_labels_in_tables(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    save(*(photos / f"IMG_{i}" for i in range(8)))
    (photos / "metadata.csv").write_text("file_name,label\n" + "".join(f"IMG_{i},{'xy'[i % 2]}\n" for i in range(8)))
    assert list(splits(photos)) == ["pretrain", "train", "test"]
    assert labels(opened(photos)) == {f"IMG_{i}": "xy"[i % 2] for i in range(8)}
    assert opened(photos).skipped == []


@pytest.mark.parametrize(
    ("files", "values"),
    [
        (("images/1a", "images/2b"), ("images/1a", "images/2b")),
        (("one/a", "one/b"), ("a", "b")),
        (("one/1", "one/2"), ("1", "2")),
        (("deep/er/still/a", "deep/er/still/b.v2"), ("deep/er/still/a", "deep/er/still/b.v2")),
    ],
)
def test_paths_without_endings_are_what_the_files_hold(
    files: tuple[str, ...], values: tuple[str, ...], tmp_path: Path
) -> None:
    save(*(tmp_path / name for name in files))
    (tmp_path / "README").write_text("no picture")
    rows = "".join(f"{value},{label}\n" for value, label in zip((*values, "gone"), "xyx", strict=True))
    (tmp_path / "list.csv").write_text("file,label\n" + rows)
    source = opened(tmp_path / "list.csv")
    assert source.modality == "image"
    assert labels(source) == dict(zip(files, "xy", strict=True))
    assert source.skipped == [("gone", "No such file or directory")]
    assert source.read(torch.tensor([1])).unique().tolist() == [1]


def test_a_file_of_such_a_table_that_holds_no_picture_is_listed(tmp_path: Path) -> None:
    save(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").write_text("no picture")
    (tmp_path / "list.csv").write_text("file,label\na,x\nb,y\nc,x\n")
    source = opened(tmp_path / "list.csv")
    assert labels(source) == {"a": "x", "b": "y"}
    assert source.skipped == [("c", "not an image of a known type, or its start is damaged")]


def test_a_table_of_recordings_without_endings(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name in ("a", "b"):
        soundfile.write(tmp_path / name, np.zeros(800, dtype=np.int16), 8000, format="WAV")
    (tmp_path / "list.csv").write_text("file,label\na,x\nb,y\n")
    source = opened(tmp_path / "list.csv")
    assert source.modality == "audio"
    assert labels(source) == {"a": "x", "b": "y"}


def test_words_that_name_files_of_other_kinds_are_texts(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    (tmp_path / "list.csv").write_text("word,label\none,x\ntwo,y\n")
    assert opened(tmp_path / "list.csv").modality == "text"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_list_of_paths_without_endings(kind: Any, tmp_path: Path) -> None:
    save(tmp_path / "a", tmp_path / "b")
    source = opened([kind(tmp_path / name) for name in ("a", "b", "gone")])
    assert source.modality == "image"
    assert list(source.ids) == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert source.skipped == [(str(tmp_path / "gone"), "No such file or directory")]
