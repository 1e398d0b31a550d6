from __future__ import annotations

import pytest
import torch
from torch import Tensor

from likewise.data.batches import Ragged
from likewise.data.source import Source
from likewise.evaluation.retrieval import FIGURES
from likewise.evaluation.segments import crop_length, ends, segment_table

RATE = 4000


class Recordings(Source):
    """Waves in memory."""

    modality, name = "audio", "tones"

    def __init__(self, waves: list[Tensor]) -> None:
        self.waves = waves
        self.lengths = torch.tensor([len(wave) for wave in waves])

    def __len__(self) -> int:
        return len(self.waves)

    def labels(self) -> Tensor:
        raise AssertionError("nothing here is asked for labels")

    def read(self, indices: Tensor) -> Ragged:
        return Ragged.of([self.waves[i] for i in indices.tolist()])


def tone(hertz: float, seconds: float, seed: int = 0) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    noise = torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return (8000 * torch.sin(2 * torch.pi * hertz * time) + 100 * noise).to(torch.int16)


def tones(count: int = 9) -> Recordings:
    return Recordings([tone(200 * 1.25**i, 1 + 0.1 * (i % 4), i) for i in range(count)])


def nothing(crops: Ragged) -> Tensor:
    return torch.ones(len(crops), 3)


def test_ends_are_the_first_and_the_last() -> None:
    waves = [torch.arange(10, 17, dtype=torch.int16), torch.arange(30, 36, dtype=torch.int16)]
    first, last = ends(Ragged.of(waves), 3)
    assert first.values.tolist() == [[10, 11, 12], [30, 31, 32]]
    assert last.values.tolist() == [[14, 15, 16], [33, 34, 35]]
    assert first.lengths.tolist() == last.lengths.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([50, 60, 70, 80, 90], 20), ([10, 30, 31, 50, 60], 15), ([10, 10, 12, 50, 60], 5), ([1, 9], 0)],
)
def test_crops_are_as_long_as_three_quarters_of_the_recordings_allow(lengths: list[int], expected: int) -> None:
    assert crop_length(torch.tensor(lengths), 20) == expected
    assert sum(length < 2 * expected for length in lengths) <= len(lengths) / 4


def test_tones_are_known_again_by_their_spectrum() -> None:
    table = segment_table(tones(), tones().lengths, {"nothing": nothing}, sample_rate=RATE, seconds=0.5, batch_size=4)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["log-mel"] == [1, 1, 1, 1, 1]
    assert rows["nothing"] == [0, 0, 1, pytest.approx(1 / 9), 9]
    assert rows["chance"][0] == pytest.approx(1 / 9)
    assert table.head == ["embeddings", *FIGURES]
    assert len(table.units) == len(table.head)
    assert table.caption == "first and last 0.5 s of 9 recordings"


def test_an_encoder_hears_crops_and_nothing_of_their_recordings_length() -> None:
    heard = []

    def embed(crops: Ragged) -> Tensor:
        heard.append(crops)
        return crops.values.double()[:, :2].float()

    source = tones()
    segment_table(source, source.lengths, {"encoder": embed}, sample_rate=RATE, seconds=0.25, batch_size=5)
    assert [len(crops) for crops in heard] == [5, 5, 4, 4]
    assert {length for crops in heard for length in crops.lengths.tolist()} == {1000}
    assert torch.equal(heard[0].values[2], source.waves[2][:1000])
    assert torch.equal(heard[3].values[1], source.waves[6][-1000:])


def test_short_recordings_are_left_out_and_equal_ends_answer_for_each_other() -> None:
    silent = [torch.cat([torch.zeros(2000, dtype=torch.int16), tone(hertz, 0.6)]) for hertz in (300, 900)]
    source = Recordings([*tones().waves, *silent, tone(400, 0.7)])
    table = segment_table(source, source.lengths, {}, sample_rate=RATE, seconds=0.5)
    assert table.caption == (
        "first and last 0.5 s of 11 recordings; 2 of them share a part with another, and either counts as correct; "
        "1 shorter than two crops left out"
    )
    assert table.rows[-1][1] == pytest.approx((9 * 1 + 2 * 2) / 11 / 11)


def test_what_cannot_be_cut_gives_no_table() -> None:
    source = Recordings([tone(300, 1)])
    assert segment_table(source, source.lengths, {}, sample_rate=RATE, seconds=0.5) is None
    clicks = Recordings([torch.ones(1, dtype=torch.int16)] * 5)
    assert segment_table(clicks, clicks.lengths, {}, sample_rate=RATE, seconds=0.5) is None
