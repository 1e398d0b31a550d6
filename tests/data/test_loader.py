from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from likewise.data.loader import Loader
from likewise.data.open import open_source
from likewise.data.sampling import order
from likewise.data.source import Source


@pytest.fixture
def source() -> Source:
    return open_source(np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(4, 2).repeat(4, 3))


def seen(loader: Loader) -> list[list[int]]:
    return [batch.samples[:, 0, 0, 0].tolist() for batch in loader]


def test_every_epoch_is_another_permutation_of_the_seed(source: Source) -> None:
    batches = seen(Loader(source, batch_size=3, epochs=2, seed=7))
    assert [len(batch) for batch in batches] == [3] * 6
    for epoch in range(2):
        expected = order(10, seed=7, epoch=epoch)[:9].tolist()
        assert [i for batch in batches[3 * epoch : 3 * epoch + 3] for i in batch] == expected


@pytest.mark.parametrize("start", range(7))
def test_a_loader_goes_on_from_any_step(source: Source, start: int) -> None:
    whole = seen(Loader(source, batch_size=3, epochs=2, seed=7))
    loader = Loader(source, batch_size=3, epochs=2, seed=7)
    loader.load_state_dict({"step": start})
    assert len(loader) == 6
    assert seen(loader) == whole[start:]
    assert loader.state_dict() == {"step": 6}


@pytest.mark.parametrize("reads_slowly", [False, True])
def test_each_step_is_asked_for_once(source: Source, reads_slowly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads ahead is epochs before: asked twice, a sampling would shuffle all samples for each of both."""
    source.reads_slowly = reads_slowly
    loader = Loader(source, batch_size=3, epochs=3, seed=7)
    asked, indices = [], loader.sampling.indices
    monkeypatch.setattr(loader.sampling, "indices", lambda step: asked.append(step) or indices(step))
    batches = list(loader)
    assert asked == list(range(9))
    assert all(batch.samples[:, 0, 0, 0].tolist() == batch.indices.tolist() for batch in batches)


def test_the_state_counts_what_was_given_not_what_was_read_ahead(source: Source) -> None:
    loader = Loader(source, batch_size=2, epochs=3, seed=0)
    stream = iter(loader)
    next(stream)
    next(stream)
    assert loader.state_dict() == {"step": 2}


def test_an_error_in_reading_reaches_the_training(source: Source) -> None:
    class Broken(Source):
        def __len__(self) -> int:
            return len(source)

        def read(self, indices: torch.Tensor) -> torch.Tensor:
            raise OSError("the disk is gone")

    loader = Loader(source, batch_size=2, epochs=1, seed=0)
    loader.source = Broken()
    with pytest.raises(OSError, match="the disk is gone"):
        seen(loader)


def readers_since(before: list[threading.Thread]) -> list[threading.Thread]:
    """Who reads ahead since then; those of other tests, which nobody has closed, may still be there."""
    return [each for each in threading.enumerate() if each.name == "likewise-loader" and each not in before]


def test_no_thread_stays_when_a_training_stops_early(source: Source) -> None:
    before = threading.enumerate()
    stream = iter(Loader(source, batch_size=2, epochs=100, seed=0))
    next(stream)
    (reader,) = readers_since(before)
    stream.close()
    reader.join(timeout=500)
    assert not reader.is_alive()


class Sentences(Source):
    """Samples of known lengths: what is read is where they are."""

    modality = "text"
    name = "sentences"

    def __init__(self, lengths: torch.Tensor) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        return indices


LENGTHS = torch.from_numpy(np.random.default_rng(0).integers(1, 200, size=1030))


def test_batches_of_about_equally_long_samples_are_all_there_once() -> None:
    batches = [batch.samples for batch in Loader(Sentences(LENGTHS), batch_size=8, epochs=1, seed=3)]
    assert [len(batch) for batch in batches] == [8] * 128
    assert len(torch.cat(batches).unique()) == 1024


def test_little_is_padding() -> None:
    loader = Loader(Sentences(LENGTHS), batch_size=8, epochs=1, seed=3)
    parts = [LENGTHS[batch.samples] for batch in loader]
    naive = sum(int((part.max() - part).sum()) for part in parts) / sum(8 * int(part.max()) for part in parts)
    assert loader.padding() == pytest.approx(naive)
    shuffled = LENGTHS[order(1030, seed=3, epoch=0)[:1024]].reshape(-1, 8)
    assert loader.padding() < 0.1 < float(1 - shuffled.sum() / (8 * shuffled.amax(1).sum()))


def test_samples_without_lengths_have_no_padding(source: Source) -> None:
    assert Loader(source, batch_size=3, epochs=1, seed=0).padding() == 0


def test_a_closed_loader_reads_no_more(source: Source) -> None:
    before = threading.enumerate()
    loader = Loader(source, batch_size=2, epochs=100, seed=0)
    stream = iter(loader)
    next(stream)
    assert len(readers_since(before)) == 1
    loader.close()
    assert readers_since(before) == []


def test_a_sample_without_a_label_is_a_class_of_its_own() -> None:
    labels = np.array([0, -1, 1, -1, 0, 1])
    source = open_source((np.zeros((6, 8, 8), np.uint8), labels))
    loader = Loader(source, batch_size=6, epochs=1, seed=0, labelled=True)
    batch = next(iter(loader))
    given = batch.labels[batch.indices.argsort()]
    assert given[torch.from_numpy(labels >= 0)].tolist() == [0, 1, 0, 1]
    assert len(given.unique()) == 4
