"""Datasets of torch and of Hugging Face, and lists of pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torch.utils.data import Subset as TorchSubset

from likewise.data.datasets import DatasetSource, HuggingFaceSource
from likewise.data.open import open_source
from likewise.data.source import Subset
from likewise.data.splits import splits
from likewise.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)
EXPECTED = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
LABELS = [1, 0, 1, 2, 1]
ALL = torch.arange(5)


class Items(Dataset):
    """A dataset of the given items that counts how often each is fetched."""

    def __init__(self, items: list[Any], **attributes: Any) -> None:
        self.items = items
        self.fetched = [0] * len(items)
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.fetched[index] += 1
        return self.items[index]


FORMS = {
    "pil": [Image.fromarray(image) for image in IMAGES],
    "hwc array": list(IMAGES),
    "chw tensor": list(EXPECTED),
    "float tensor": list(EXPECTED / 255),
    "pair": [(Image.fromarray(image), label) for image, label in zip(IMAGES, LABELS, strict=True)],
    "dict": [{"id": i, "img": image, "label": 4} for i, image in enumerate(IMAGES)],
}


@pytest.mark.parametrize("form", FORMS)
def test_items(form: str) -> None:
    source = open_source(Items(FORMS[form]))
    assert (source.name, len(source), source.ids[4]) == ("Items", 5, "4")
    assert torch.equal(source.read(torch.tensor([4, 0, 4])), EXPECTED[[4, 0, 4]])


@pytest.mark.parametrize(("accelerated", "largest"), [(False, 64), (True, 96)])
def test_a_list_of_pictures_of_different_shapes(
    accelerated: bool, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: accelerated)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    source = open_source([Image.new("L", (30, 20)), Image.new("RGB", (10, 20), (255, 0, 0)), Image.new("L", (40, 50))])
    batch = source.read(torch.arange(3))
    assert batch.shape == (3, 3, 20, 20)
    assert batch[:, 0].float().mean((1, 2)).tolist() == [0, 255, 0]
    grey = open_source([Image.new("L", (200, 300))])
    assert grey.read(torch.arange(1)).shape == (1, 1, largest, largest)
    assert open_source(grey.dataset, size=8, channels=3).read(torch.arange(1)).shape == (1, 3, 8, 8)


def test_grey_tensors() -> None:
    source = open_source(TensorDataset(torch.rand(4, 1, 9, 9), torch.tensor([3, 3, 5, 3])))
    assert source.read(torch.arange(4)).shape == (4, 1, 9, 9)
    assert (source.classes, source.labels().tolist()) == (["3", "5"], [0, 0, 1, 0])


def test_labels_that_the_dataset_keeps_are_read_without_fetching() -> None:
    dataset = Items(FORMS["pair"], targets=LABELS, classes=["ant", "bee", "cat"])
    source = open_source(dataset)
    dataset.fetched = [0] * 5
    assert source.labels().tolist() == LABELS
    assert source.classes == ["ant", "bee", "cat"]
    assert sum(dataset.fetched) == 0
    part = open_source(TorchSubset(dataset, [3, 0]))
    assert (part.labels().tolist(), part.classes) == ([2, 1], ["ant", "bee", "cat"])
    assert torch.equal(part.read(torch.arange(2)), EXPECTED[[3, 0]])


def test_labels_of_items_are_read_only_when_asked_for() -> None:
    dataset = Items(FORMS["pair"])
    source = DatasetSource(dataset, size=12, channels=3)
    source.read(torch.tensor([1]))
    assert dataset.fetched[2:] == [0, 0, 0]
    assert source.labels().tolist() == LABELS
    assert source.classes == ["0", "1", "2"]
    assert open_source(source) is source
    assert open_source(Items(FORMS["dict"])).classes == ["4"]


def test_classes_fetch_no_item_twice() -> None:
    dataset = Items(FORMS["pair"])
    source = DatasetSource(dataset, size=12, channels=3)
    assert [source.classes[label] for label in source.labels().tolist()] == ["1", "0", "1", "2", "1"]
    assert dataset.fetched == [2, 1, 1, 1, 1]


def test_part_of_a_dataset_is_decoded_at_the_size_asked_for() -> None:
    """Not at the usual size first: what was thrown away for that does not come back."""
    noise = np.random.default_rng(1).integers(0, 256, (4, 120, 120, 3), dtype=np.uint8)
    source = open_source([(Image.fromarray(image), i) for i, image in enumerate(noise)])
    assert source.size < 120
    part = open_source(Subset(source, torch.tensor([3, 1]), name="part"), size=120, channels=3)
    assert torch.equal(part.read(torch.arange(2)), torch.from_numpy(noise[[3, 1]]).permute(0, 3, 1, 2))
    assert (part.name, list(part.ids), part.labels().tolist()) == ("part", ["3", "1"], [3, 1])
    assert open_source(source, channels=1).read(torch.arange(1)).shape == (1, 1, source.size, source.size)
    assert torch.equal(
        open_source(source, size=120).read(torch.tensor([2]))[0], torch.tensor(noise[2]).permute(2, 0, 1)
    )


class Broken(Items):
    """Item 2 cannot be fetched."""

    def __getitem__(self, index: int) -> Any:
        if index == 2:
            raise KeyError("path")
        return super().__getitem__(index)


def cut() -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    return Image.open(io.BytesIO(file.getvalue()[:1000]))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Broken(FORMS["pil"]), "^item 2 of Broken cannot be read: KeyError: 'path'$"),
        (Items([*FORMS["pil"][:2], cut()]), "^item 2 of Items cannot be read: OSError: image file is truncated"),
        (
            Items([*FORMS["pil"][:2], None]),
            "^item 2 of Items must hold a picture, an array or a tensor, got a NoneType",
        ),
    ],
)
def test_an_item_that_cannot_be_read_is_named(dataset: Items, message: str) -> None:
    source = DatasetSource(dataset, size=12, channels=3)
    assert len(source.read(torch.tensor([1, 0]))) == 2
    with pytest.raises(UserError, match=message):
        source.read(torch.tensor([1, 2]))


def test_an_item_without_its_label_is_named() -> None:
    with pytest.raises(UserError, match=r"^item 2 of Broken cannot be read: KeyError: 'path'$"):
        DatasetSource(Broken(FORMS["pair"]), size=12, channels=3).labels()


def test_no_labels() -> None:
    source = open_source(Items(FORMS["pil"]))
    assert source.classes == []
    with pytest.raises(UserError, match=r"Items has no labels: its items are no pairs \(image, label\)"):
        source.labels()


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Stream(), "from an IterableDataset; give a map-style dataset"),
        (Items([]), "Items is empty"),
        ([], "list is empty"),
        (Items([{"text": "a"}]), "no image under image, img, images, pixel_values, x; it has text"),
        (Items(["a"]), "item 0 of Items must hold a picture, an array or a tensor, got a str"),
        (Items([np.zeros((4, 5, 6, 7))]), r"got \(1, 4, 5, 6, 7\)"),
        (Items([np.full((8, 8), 7.0)]), "must lie between 0 and 1"),
        (3.5, "cannot read samples from a float; possible are digits, mnist"),
    ],
)
def test_refused(data: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_source(data)


@pytest.fixture
def hugging_face() -> Any:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "name": datasets.Value("string"),
            "photo": datasets.Image(),
            "kind": datasets.ClassLabel(names=["ant", "bee", "cat"]),
        }
    )
    rows = {"name": list("abcde"), "photo": FORMS["pil"], "kind": LABELS}
    return datasets.Dataset.from_dict(rows, features=features)


def test_hugging_face(hugging_face: Any) -> None:
    source = open_source(hugging_face)
    assert torch.equal(source.read(torch.tensor([2, 0, 2])), EXPECTED[[2, 0, 2]])
    assert source.labels().tolist() == LABELS
    assert (source.classes, len(source)) == (["ant", "bee", "cat"], 5)
    turned = open_source(hugging_face.select([4, 3]).with_format("torch"))
    assert torch.equal(turned.read(torch.arange(2)), EXPECTED[[4, 3]])
    assert turned.labels().tolist() == [1, 2]


def test_hugging_face_refusals(hugging_face: Any) -> None:
    with pytest.raises(UserError, match="one column of type Image, this has 0; it has name"):
        open_source(hugging_face.remove_columns("photo"), modality="image")
    assert open_source(hugging_face.remove_columns("photo")).modality == "text"
    unlabelled = open_source(hugging_face.remove_columns("kind"))
    assert unlabelled.classes == []
    with pytest.raises(UserError, match=r"no column of type ClassLabel; it has name \(Value\), photo \(Image\)"):
        unlabelled.labels()
    with pytest.raises(UserError, match="map-style"):
        open_source(hugging_face.to_iterable_dataset())


def test_a_hugging_face_image_that_cannot_be_decoded_is_named(hugging_face: Any) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {
        "photo": [{"bytes": b"no picture", "path": None} if i == 3 else image for i, image in enumerate(FORMS["pil"])]
    }
    broken = datasets.Dataset.from_dict(rows, features=datasets.Features({"photo": datasets.Image()}))
    source = HuggingFaceSource(broken, size=12, channels=3)
    assert torch.equal(source.read(torch.tensor([4, 0])), EXPECTED[[4, 0]])
    with pytest.raises(UserError, match=r"^item 3 of \w+ cannot be read: UnidentifiedImageError: not an image"):
        source.read(torch.tensor([4, 3, 0]))


def test_a_label_column_of_a_hugging_face_dataset_of_images(hugging_face: Any) -> None:
    dataset = hugging_face.add_column("place", ["north", "south", "north", "", "south"])
    source = open_source(dataset, label_column="place", size=12, channels=3)
    assert (source.classes, source.labels().tolist()) == (["north", "south"], [0, 1, 0, -1, 1])
    with pytest.raises(UserError, match=r"^label_column: .* has no column 'plce', did you mean 'place'\?; it has "):
        open_source(dataset, label_column="plce", size=12, channels=3)


def test_hugging_face_splits(hugging_face: Any) -> None:
    datasets = pytest.importorskip("datasets")
    parts = datasets.DatasetDict(train=hugging_face, validation=hugging_face.select([0]))
    with pytest.raises(UserError, match="has several splits, give one of them: train, validation"):
        open_source(parts)
    found = splits(parts)
    assert {role: len(part) for role, part in found.items()} == {"pretrain": 5, "train": 5, "test": 1}
    unlabelled = datasets.DatasetDict({name: part.remove_columns("kind") for name, part in parts.items()})
    assert set(splits(unlabelled)) == {"pretrain"}
    unknown = hugging_face.map(lambda _: {"kind": -1})  # the test split of a competition
    found = splits(datasets.DatasetDict(train=hugging_face, validation=hugging_face.select([0]), test=unknown))
    assert {role: len(part) for role, part in found.items()} == {"pretrain": 5, "train": 5, "test": 1}
    assert set(splits(datasets.DatasetDict(train=hugging_face, test=unknown))) == {"pretrain"}
