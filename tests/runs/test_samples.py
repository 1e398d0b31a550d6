"""What of a view can be shown, whatever the samples are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from likewise.data.batches import Parts
from likewise.runs.samples import MAX_LETTERS, Samples, clean_samples, halves


class Seen:
    """Views of numbers that can be seen."""

    def clean(self, batch: Tensor) -> Tensor:
        return batch + 1

    def picture(self, view: Tensor) -> Tensor:
        return view.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)


class Read:
    """Views of numbers that can be read."""

    def clean(self, batch: Tensor) -> Tensor:
        return batch + 2

    def texts(self, view: Tensor) -> list[str]:
        return ["word" * int(number) for number in view]


class Heard(Seen):
    """Views of numbers that can be seen and heard."""

    sample_rate = 8000

    def sounds(self, view: Tensor) -> Tensor:
        return view.to(torch.int16)[:, None].repeat(1, 5)


class Couple:
    """Views of parts."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def clean(self, batch: Parts) -> Parts:
        return Parts(tuple(views.clean(part) for views, part in zip(self.parts, batch.parts, strict=True)))


class Silent:
    """Views that show nothing."""

    def clean(self, batch: Tensor) -> Tensor:
        return batch


NUMBERS = torch.arange(5)


def test_what_a_view_shows_follows_from_what_its_views_can() -> None:
    assert len(Samples.of(Silent(), NUMBERS)) == 0
    read = Samples.of(Read(), NUMBERS[:3])
    assert read.only_texts
    assert read.texts == ["", "word", "wordword"]
    heard = Samples.of(Heard(), NUMBERS)
    assert heard.texts is None
    assert heard.pictures is not None
    assert heard.pictures.dtype == np.uint8
    assert heard.pictures.shape == (5, 3, 2, 2)
    assert heard.sounds is not None
    assert heard.sounds.dtype == np.int16
    assert heard.sounds[4].tolist() == [4] * 5
    assert heard.sample_rate == 8000


def test_parts_are_shown_each_by_their_own_views() -> None:
    view = Parts((NUMBERS, NUMBERS + 1))
    seen, read = halves(Couple(Seen(), Read()), view)
    assert seen.pictures is not None
    assert seen.pictures[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert read.texts is not None
    assert read.texts[0] == "word"
    assert halves(Seen(), NUMBERS) == []


def test_several_groups_share_a_file() -> None:
    whole = Samples(np.zeros((2, 1, 3, 3), np.uint8), ["a", "b"], np.zeros((2, 5), np.int16), 8000)
    arrays = whole.to_arrays("first") | Samples(texts=["c"]).to_arrays("second")
    assert list(arrays) == ["first", "first_texts", "first_sounds", "first_sample_rate", "second_texts"]
    again = Samples.from_arrays(arrays, "first")
    assert np.array_equal(again.pictures, whole.pictures)
    assert np.array_equal(again.sounds, whole.sounds)
    assert (again.texts, again.sample_rate) == (["a", "b"], 8000)
    assert Samples.from_arrays(arrays, "second").texts == ["c"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"s has pictures, texts and sounds of \[\] samples"),
        ({"s": np.zeros((2, 1, 3, 3), np.uint8), "s_texts": np.array(["a"])}, r"of \[1, 2\] samples"),
        ({"s": np.zeros((2, 3, 3), np.uint8)}, r"s is uint8 of shape \(2, 3, 3\)"),
        ({"s": np.zeros((2, 2, 3, 3), np.uint8)}, r"s is uint8 of shape \(2, 2, 3, 3\)"),
        ({"s": np.zeros((2, 1, 3, 3), np.uint16)}, "s is uint16"),
        ({"s_sounds": np.zeros((2, 5), np.float32)}, "s_sounds is float32"),
    ],
)
def test_arrays_that_are_no_samples_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Samples.from_arrays(arrays, "s")


def test_samples_are_joined() -> None:
    parts = [Samples.of(Heard(), some) for some in NUMBERS.split(2)]
    joined = Samples.joined(parts)
    assert joined.pictures is not None
    assert joined.pictures[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert joined.sounds is not None
    assert joined.sounds[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (joined.sample_rate, joined.texts) == (8000, None)


def test_a_gallery_has_clean_views_of_all_batches() -> None:
    kept = clean_samples(Seen(), NUMBERS.split(2))
    assert kept.only_pictures
    assert kept.pictures is not None
    assert kept.pictures[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert len(clean_samples(Silent(), NUMBERS.split(2))) == 0
    assert clean_samples(Heard(), NUMBERS.split(2)).sounds is None  # too large


def test_a_gallery_of_parts_shows_the_first_part_of_each_kind() -> None:
    batch = Parts((NUMBERS, NUMBERS, NUMBERS + 10, NUMBERS))
    kept = clean_samples(Couple(Read(), Seen(), Seen(), Read()), [batch[:3], batch[3:]])
    assert kept.texts == ["word" * number for number in range(2, 7)]
    assert kept.pictures is not None
    assert kept.pictures[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_gallery_keeps_the_beginning_of_long_texts() -> None:
    (long,) = clean_samples(Read(), [torch.tensor([98])]).texts or []
    assert len(long) == MAX_LETTERS
    assert long == "word" * 59 + "wor…"
    (whole,) = clean_samples(Read(), [torch.tensor([58])]).texts or []
    assert whole == "word" * 60
