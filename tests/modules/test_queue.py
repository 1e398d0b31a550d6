"""The last embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.modules.queue import Queue, queue_size
from likewise.seeding import generator_for


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=generator_for(seed))


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


def test_a_queue_keeps_the_last_keys_at_unit_length() -> None:
    queue = Queue(6, 3)
    random = queue.keys.clone()
    torch.testing.assert_close(random.norm(dim=1), torch.ones(6))
    pushed = [rows(2, seed) for seed in range(5)]
    filled = []
    for keys in pushed:
        queue.push(keys)
        filled.append(float(queue.filled))
        if len(filled) == 1:
            torch.testing.assert_close(queue.keys, torch.cat([unit(keys), random[2:]]))
    assert filled == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])
    # The fourth and fifth took the places of the first two.
    torch.testing.assert_close(queue.keys, unit(torch.cat([pushed[3], pushed[4], pushed[2]])))


def test_the_age_of_a_queue_is_the_mean_over_its_embeddings() -> None:
    queue = Queue(6, 3)
    ages = [float(queue.age(2))]
    for seed in range(4):
        queue.push(rows(2, seed))
        ages.append(float(queue.age(2)))
    assert ages == [0, 1, 1.5, 2, 2]


def test_a_queue_refuses_keys_that_would_wrap_around() -> None:
    with pytest.raises(UserError, match="queue must be a multiple of the 4 keys of a step, got 6"):
        Queue(6, 3).push(rows(4))


def test_a_queue_finds_the_nearest_of_many_rows() -> None:
    queue = Queue(600, 3)
    queue.push(rows(300))
    z = 7 * rows(400, 1)  # more than are compared at once
    found = queue.nearest(z)
    torch.testing.assert_close((found * unit(z)).sum(1), (unit(z) @ queue.keys.T).amax(1))


@pytest.mark.parametrize(
    ("samples", "batch_size", "asked", "size"),
    [
        (10**6, 256, None, 65536),
        (10**6, 100, None, 65500),
        (1297, 128, None, 640),
        (100, 64, None, 64),
        (100, 64, 256, 256),
    ],
)
def test_a_queue_is_as_long_as_asked_or_a_share_of_the_samples_at_most(
    samples: int, batch_size: int, asked: int | None, size: int
) -> None:
    assert queue_size(asked, samples=samples, batch_size=batch_size, most=65536, share=0.5) == size


@pytest.mark.parametrize("asked", [0, -64, 32, 100])
def test_a_queue_that_is_no_multiple_of_the_batch_is_refused(asked: int) -> None:
    with pytest.raises(UserError, match=rf"queue must be a multiple of the batch, 64, got {asked}"):
        queue_size(asked, samples=1000, batch_size=64, most=65536, share=0.5)
