"""Copies: planted ones are found, other samples are not, and none is on both sides of a split."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_images

from likewise.data import copies
from likewise.data.arrays import ArraySource
from likewise.data.copies import (
    Copy,
    copies_between,
    copies_note,
    copies_summary,
    copy_groups,
    perceptual_hashes,
    similar_hashes,
)
from likewise.data.open import open_source
from likewise.data.pairs import PairSource
from likewise.data.source import Source, Subset
from likewise.data.splits import hold_out
from likewise.errors import UserError
from small_data import recordings, sentences


def smooth(count: int, seed: int = 0, size: int = 64) -> np.ndarray:
    """Different pictures of soft shapes, uint8 (count, size, size, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 3, 5, 5)).astype(np.float32)
    fine = F.interpolate(torch.from_numpy(coarse), size=(size, size), mode="bicubic").clamp(0, 255)
    return fine.permute(0, 2, 3, 1).to(torch.uint8).numpy()


def compressed(image: np.ndarray, quality: int = 85) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image: np.ndarray) -> np.ndarray:
    side = image.shape[0]
    return np.asarray(Image.fromarray(image).resize((side * 2, side * 2)).resize((side, side)))


def source(images: np.ndarray, labels: list[int] | None = None, name: str = "photos") -> ArraySource:
    classes = [] if labels is None else [f"class {label}" for label in range(max(labels) + 1)]
    batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return ArraySource(batch, None if labels is None else np.array(labels), name=name, classes=classes)


def photographs(count: int, size: int = 64) -> np.ndarray:
    """Parts of two photographs that do not overlap."""
    found = []
    for image in load_sample_images().images:
        rows, columns = image.shape[0] // size, image.shape[1] // size
        tiles = image[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
        found.append(tiles.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, 3))
    every = np.concatenate(found)
    return every[np.linspace(0, len(every) - 1, count).astype(int)]


def test_planted_copies_are_found_and_no_others() -> None:
    pictures = smooth(400)
    train, test = pictures[:300].copy(), pictures[300:].copy()
    test[5], test[40] = train[7], train[299]
    test[11], test[12], test[99] = compressed(train[20]), resized(train[21]), compressed(resized(train[22]), 60)
    found = copies_between(source(train), source(test))
    assert found == [
        Copy("5", "7", True, None),
        Copy("11", "20", False, None),
        Copy("12", "21", False, None),
        Copy("40", "299", True, None),
        Copy("99", "22", False, None),
    ]


def test_photographs_that_were_compressed_or_resized_are_near_copies() -> None:
    train = photographs(120)
    test = np.stack([(compressed, resized)[i % 2](train[i]) for i in range(0, 120, 4)])
    found = copies_between(source(train), source(test))
    assert [copy.test for copy in found] == [str(i) for i in range(30)]
    # Of two parts of the same sky, one may be taken for the other.
    assert len([copy for copy in found if int(copy.train) == 4 * int(copy.test)]) >= 28


def test_no_digit_is_a_copy_of_another() -> None:
    """1,797 images of 8 x 8 pixels of ten shapes: the most alike of all data that comes with the installation."""
    assert copies_between(open_source("digits:train"), open_source("digits:test")) == []
    assert copy_groups(open_source("digits")).note is None


def test_different_labels_of_copies_are_said() -> None:
    pictures = smooth(30)
    train = source(pictures[:20], [0, 1] * 10, "train")
    test = source(np.concatenate([pictures[2:4], pictures[20:]]), [0, 0] + [1] * 10, "test")
    found = copies_between(train, test)
    assert found == [Copy("0", "2", True, None), Copy("1", "3", True, ("class 0", "class 1"))]
    assert copies_note(found, train, test) == [
        "2 of 12 samples of test are copies of samples of train: 2 equal, 0 nearly equal, 1 with another label "
        "(1 and 3 (class 0 and class 1), 0 and 2). They say nothing about new samples."
    ]
    assert copies_summary(found)["other_labels"] == 1
    assert copies_note([], train, test) == []


def test_a_sample_without_a_label_has_no_other_label() -> None:
    pictures = smooth(4)
    train, test = source(pictures, [0, 1, -1, 0]), source(pictures, [-1, 1, 1, 1])
    assert [copy.labels for copy in copies_between(train, test)] == [None, None, None, ("class 1", "class 0")]


def test_blank_samples_are_copies_of_none() -> None:
    images = np.zeros((6, 8, 8, 3), np.uint8)
    images[3:, ..., 0] = 200
    assert copies_between(source(images), source(images)) == []
    assert copy_groups(source(images)).note is None
    silence = open_source([np.zeros(800, np.int16)] * 4, modality="audio", sample_rate=8000, progress=False)
    assert copy_groups(silence).note is None


def test_equal_texts_are_copies() -> None:
    texts = sentences(40)
    different = list(dict.fromkeys(texts))
    train, test = open_source(different[:10]), open_source([*different[10:14], different[3], "aaaa"])
    assert [(copy.test, copy.train) for copy in copies_between(train, test)] == [("4", "3")]


def test_equal_recordings_are_copies_whatever_stands_beside_them() -> None:
    """A batch is filled up to its longest recording; copies are equal in batches of other lengths, too."""
    waves = [wave[: 300 + 10 * i] for i, wave in enumerate(recordings(12)[0])]
    train = open_source(waves[:8], modality="audio", sample_rate=8000, progress=False)
    test = open_source([waves[2], *waves[8:10]], modality="audio", sample_rate=8000, progress=False)
    assert [(copy.test, copy.train) for copy in copies_between(train, test)] == [("0", "2")]


def test_pairs_are_compared_by_what_is_no_text() -> None:
    images, texts = smooth(12), [f"caption {i}" for i in range(12)]
    pairs = [
        PairSource([source(images[rows]), open_source([texts[i] for i in captions])], ["image", "text"])
        for rows, captions in ((slice(0, 8), range(8)), ([1, 9], (11, 2)))
    ]
    assert [(copy.test, copy.train) for copy in copies_between(*pairs)] == [("0", "1")]
    assert [copy.test for copy in copies_between(pairs[0], source(images[[9, 3]]))] == ["1"]
    assert copies_between(source(images), open_source(texts)) == []


def test_samples_of_ones_own_are_left_alone() -> None:
    class Own(Source):
        modality, name = "own", "own"

        def __len__(self) -> int:
            return 3

        def read(self, indices: Any) -> Any:
            return [object() for _ in indices]

    assert copies_between(Own(), Own()) == []
    assert copy_groups(Own()).note is None


# --- Perceptual hashes


def test_a_hash_is_the_lowest_frequencies_of_the_grey_image() -> None:
    image = torch.from_numpy(smooth(1, size=16)).permute(0, 3, 1, 2)
    grey = image[0].double().mean(0).numpy()
    place = np.arange(16)

    def waves(k: int) -> np.ndarray:
        return np.cos(np.pi * k * (place + 0.5) / 16) / 16 * (1 if k == 0 else 2**0.5)

    expected = [waves(d - k) @ grey @ waves(k) for d in range(5) for k in range(d + 1)]
    assert perceptual_hashes(image)[0] == pytest.approx(expected, abs=1e-3)
    assert expected[0] == pytest.approx(grey.mean())


def test_hashes_differ_by_no_more_than_images() -> None:
    image = torch.from_numpy(smooth(50, size=16)).permute(0, 3, 1, 2)
    other = (image.float() + torch.randn(image.shape, generator=torch.Generator().manual_seed(0)) * 6).clamp(0, 255)
    differ = (image.float() - other.byte().float()).square().mean((1, 2, 3)).sqrt()
    assert (abs(perceptual_hashes(image) - perceptual_hashes(other.byte())).max(1) <= differ.numpy() + 1e-3).all()


def test_similar_hashes_are_found() -> None:
    random = np.random.default_rng(0)
    hashes = random.normal(0, 30, (2000, 15)).astype(np.float32)
    hashes[1000:] = hashes[:1000] + random.uniform(-1.5, 1.5, (1000, 15))
    found = similar_hashes(hashes).tolist()
    assert len([pair for pair in found if pair[0] + 1000 == pair[1]]) >= 990
    assert all(pair[0] + 1000 == pair[1] for pair in found)


def test_data_that_is_all_alike_takes_no_square_of_steps() -> None:
    pairs = similar_hashes(np.full((3000, 15), 7, dtype=np.float32))
    assert len(pairs) == sum(3000 - step for step in range(1, 65))


# --- Splits


def test_a_split_parts_no_copies() -> None:
    pictures = smooth(60)
    images = np.concatenate([pictures, pictures[:20], np.stack([compressed(one) for one in pictures[20:30]])])
    labels = [i % 3 for i in range(60)] + [i % 3 for i in range(20)] + [i % 3 for i in range(20, 30)]
    labels[61] = 0  # 1 is of class 1
    train, test = hold_out(source(images, labels))
    assert copies_between(train, test) == []
    assert 10 <= len(test) <= 26
    assert sorted([*train.indices.tolist(), *test.indices.tolist()]) == list(range(90))
    assert train.notes[-1] == (
        "60 samples are equal or nearly equal to others, in 30 groups: each group is on one side of the split; "
        "1 of them have several labels, such as 61 (class 0) and 1 (class 1)"
    )
    assert not any("equal" in note for note in hold_out(source(pictures, labels[:60]))[0].notes)


def test_without_copies_a_split_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = open_source("digits")
    train, test = hold_out(digits)
    monkeypatch.setattr(
        "likewise.data.splits.copy_groups", lambda source: copies.CopyGroups(torch.arange(len(source)), None)
    )
    alone = hold_out(digits)
    assert torch.equal(test.indices, alone[1].indices)
    assert torch.equal(train.indices, alone[0].indices)


def test_pieces_of_one_thing_and_copies_stay_together() -> None:
    pictures = smooth(40)
    images = np.concatenate([pictures, pictures[:10]])
    whole = source(images, [0] * 50)
    whole.groups = torch.arange(50) // 2
    for data in (whole, Subset(whole, torch.arange(49, -1, -1))):
        train, test = hold_out(data)
        assert not set(train.groups.tolist()) & set(test.groups.tolist())  # type: ignore[union-attr]
        assert copies_between(train, test) == []
        assert 0 < len(test) < len(train)


def test_a_class_of_copies_stays_in_training() -> None:
    pictures = smooth(21)
    images = np.concatenate([pictures[:20], np.repeat(pictures[20:], 5, axis=0)])
    for seed in range(5):
        whole = source(images, [0] * 20 + [1] * 5)
        whole.ids = [f"{seed}-{i}" for i in range(25)]
        train, test = hold_out(whole)
        assert train.labels().bincount().tolist()[1] == 5
        assert len(test) == 4
    with pytest.raises(
        UserError, match="photos: nothing can be held out for a test, the samples of each class are cop"
    ):
        hold_out(source(np.repeat(pictures[:2], 5, axis=0), [0] * 5 + [1] * 5))
