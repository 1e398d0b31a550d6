"""Which subfolders are splits, and what the classes are then."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from likewise.data.open import open_source
from likewise.data.split_folders import role_of, split_folders
from likewise.data.splits import splits
from likewise.errors import UserError


def pictures(folder: Path, *subfolders: str, count: int = 2) -> Path:
    for below in subfolders:
        (folder / below).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / below / f"{i}.png")
    return folder


def test_what_splits_are_called() -> None:
    for role, names in {
        "train": ("train", "Train", "TRAINING", "training_set", "trainset", "train-data"),
        "test": ("test", "Testing", "test_set", "Test Set"),
        "val": ("val", "valid", "Validation", "dev", "validation_set"),
        "unlabeled": ("unlabeled", "Unlabelled"),
    }.items():
        assert {role_of(name) for name in names} == {role}
    assert {role_of(name) for name in ("trains", "cat", "set", "contest", "data")} == {None}


@pytest.mark.parametrize(
    ("train", "test", "asked"),
    [
        ("Training", "Testing", "test"),
        ("training_set", "test_set", "test"),
        ("Train", "Test", "test"),
        ("train", "dev", "dev"),
        ("train", "Validation", "val"),
        ("archive/train", "archive/test", "test"),
        ("archive/Training", "archive/Testing", "test"),
    ],
)
def test_split_folders_in_other_spellings(train: str, test: str, asked: str, tmp_path: Path) -> None:
    data = pictures(tmp_path / "photos", *(f"{split}/{name}" for split in (train, test) for name in ("cat", "dog")))
    roles = splits(data)
    assert roles == {"pretrain": f"{data}:train", "train": f"{data}:train", "test": f"{data}:{asked}"}
    named = Path(train).name
    for part in ("train", named, named.upper()):
        source = open_source(f"{data}:{part}", progress=False)
        assert (source.classes, len(source)) == (["cat", "dog"], 4)
        assert source.notes[0].startswith(f"photos has splits: train is {train}/, ")
    assert open_source(roles["test"], progress=False).labels().tolist() == [0, 0, 1, 1]
    whole = open_source(data, progress=False)
    assert (whole.classes, whole.labels().bincount().tolist()) == (["cat", "dog"], [4, 4])
    assert whole.notes[0].endswith("; all of them are taken")


def test_folders_of_classes_are_no_splits(tmp_path: Path) -> None:
    for names in (["train", "bus"], ["Testing", "cat"], ["Training", "cat"]):
        data = pictures(tmp_path / names[0], *names)
        assert split_folders(data) == {}
        assert open_source(data, progress=False).classes == sorted(names)
    with pytest.raises(UserError, match="has no subfolder 'val'"):
        open_source(f"{tmp_path / 'train'}:val", progress=False)


def test_what_lies_in_a_split_but_in_no_class_has_no_label(tmp_path: Path) -> None:
    data = pictures(tmp_path / "photos", "train/cat", "train/dog", "test")
    source = open_source(data, progress=False)
    assert source.classes == ["cat", "dog"]
    assert dict(zip(source.ids, source.labels().tolist(), strict=True)) == {
        "test/0.png": -1, "test/1.png": -1, "train/cat/0.png": 0, "train/cat/1.png": 0, "train/dog/0.png": 1,
        "train/dog/1.png": 1,
    }  # fmt: skip
    assert source.notes[1:] == ["labels: 4 of 6 images"]
