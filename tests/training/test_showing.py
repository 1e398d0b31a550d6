"""What of a view can be shown, whatever the samples are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.data.batches import Parts
from likewise.runs.samples import LONGEST, gallery_arrays, halves, prefixed, shown


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

    def words(self, view: Tensor) -> list[str]:
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
    assert shown(Silent(), NUMBERS) == {}
    assert shown(Read(), NUMBERS[:3])["words"].tolist() == ["", "word", "wordword"]
    heard = shown(Heard(), NUMBERS)
    assert {name: array.dtype for name, array in heard.items()} == {
        "pictures": np.uint8,
        "sounds": np.int16,
        "sample_rate": np.int64,
    }
    assert heard["pictures"].shape == (5, 3, 2, 2)
    assert heard["sounds"][4].tolist() == [4] * 5
    assert int(heard["sample_rate"]) == 8000


def test_parts_are_shown_each_by_their_own_views() -> None:
    view = Parts((NUMBERS, NUMBERS + 1))
    seen, read = halves(Couple(Seen(), Read()), view)
    assert seen["pictures"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert read["words"][0] == "word"
    assert halves(Seen(), NUMBERS) == []


def test_several_groups_share_a_file() -> None:
    names = prefixed("first", dict.fromkeys(["pictures", "words", "sounds", "sample_rate"], 0))
    assert list(names) == ["first", "first_words", "first_sounds", "first_sample_rate"]


def test_a_gallery_has_plain_views_of_all_batches() -> None:
    arrays = gallery_arrays(Seen(), NUMBERS.split(2))
    assert list(arrays) == ["pictures"]
    assert arrays["pictures"][:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert gallery_arrays(Silent(), NUMBERS.split(2)) == {}
    assert list(gallery_arrays(Heard(), NUMBERS.split(2))) == ["pictures"]  # no sounds: too large


def test_a_gallery_of_parts_shows_the_first_part_of_each_kind() -> None:
    batch = Parts((NUMBERS, NUMBERS, NUMBERS + 10, NUMBERS))
    arrays = gallery_arrays(Couple(Read(), Seen(), Seen(), Read()), [batch[:3], batch[3:]])
    assert arrays["words"].tolist() == ["word" * number for number in range(2, 7)]
    assert arrays["pictures"][:, 0, 0, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_gallery_keeps_the_beginning_of_long_words() -> None:
    (long,) = gallery_arrays(Read(), [torch.tensor([98])])["words"].tolist()
    assert len(long) == LONGEST
    assert long == "word" * 59 + "wor…"
    (whole,) = gallery_arrays(Read(), [torch.tensor([58])])["words"].tolist()
    assert whole == "word" * 60
