from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from likewise.data import open_source
from likewise.data.loader import Loader, order
from likewise.data.source import Source


@pytest.fixture
def source() -> Source:
    return open_source(np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(4, 2).repeat(4, 3))


def seen(loader: Loader) -> list[list[int]]:
    return [batch.samples[:, 0, 0, 0].tolist() for batch in loader]


def test_every_epoch_is_another_permutation_of_the_seed(source: Source) -> None:
    batches = seen(Loader(source, batch=3, epochs=2, seed=7))
    assert [len(batch) for batch in batches] == [3] * 6
    for epoch in range(2):
        expected = order(10, seed=7, epoch=epoch)[:9].tolist()
        assert [i for batch in batches[3 * epoch : 3 * epoch + 3] for i in batch] == expected
    assert sorted(order(10, seed=7, epoch=0).tolist()) == list(range(10))
    assert not torch.equal(order(100, seed=7, epoch=0), order(100, seed=7, epoch=1))
    assert not torch.equal(order(100, seed=7, epoch=0), order(100, seed=8, epoch=0))


@pytest.mark.parametrize("start", range(7))
def test_a_loader_goes_on_from_any_step(source: Source, start: int) -> None:
    whole = seen(Loader(source, batch=3, epochs=2, seed=7))
    loader = Loader(source, batch=3, epochs=2, seed=7)
    loader.load_state_dict({"step": start})
    assert len(loader) == 6
    assert seen(loader) == whole[start:]
    assert loader.state_dict() == {"step": 6}


def test_the_state_counts_what_was_given_not_what_was_read_ahead(source: Source) -> None:
    loader = Loader(source, batch=2, epochs=3, seed=0)
    stream = iter(loader)
    next(stream)
    next(stream)
    assert loader.state_dict() == {"step": 2}


def test_an_error_in_reading_reaches_the_training(source: Source) -> None:
    class Broken:
        def __len__(self) -> int:
            return len(source)

        def read(self, indices: torch.Tensor) -> torch.Tensor:
            raise OSError("the disk is gone")

    loader = Loader(source, batch=2, epochs=1, seed=0)
    loader.source = Broken()
    with pytest.raises(OSError, match="the disk is gone"):
        seen(loader)


def test_no_thread_stays_when_a_training_stops_early(source: Source) -> None:
    stream = iter(Loader(source, batch=2, epochs=100, seed=0))
    next(stream)
    stream.close()
    for thread in threading.enumerate():
        if thread.name == "likewise-loader":
            thread.join(timeout=5)
    assert "likewise-loader" not in {thread.name for thread in threading.enumerate() if thread.is_alive()}
