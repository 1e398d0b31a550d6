"""Which samples a step takes is a pure function of the step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from likewise.data.sampling import BUCKET, BucketedSampling, ShuffledSampling, bucketed, order

LENGTHS = torch.from_numpy(np.random.default_rng(0).integers(1, 200, size=1030))


def test_an_order_is_a_permutation_of_seed_and_epoch() -> None:
    assert sorted(order(10, seed=7, epoch=0).tolist()) == list(range(10))
    assert not torch.equal(order(100, seed=7, epoch=0), order(100, seed=7, epoch=1))
    assert not torch.equal(order(100, seed=7, epoch=0), order(100, seed=8, epoch=0))


@pytest.mark.parametrize(
    ("sampling", "orders"),
    [
        (
            ShuffledSampling(1030, batch_size=8, seed=3),
            [order(1030, seed=3, epoch=epoch) for epoch in range(2)],
        ),
        (
            BucketedSampling(LENGTHS, batch_size=8, seed=3),
            [bucketed(LENGTHS, batch_size=8, seed=3, epoch=epoch) for epoch in range(2)],
        ),
    ],
    ids=["shuffled", "bucketed"],
)
def test_steps_cut_the_order_of_their_epoch(sampling: ShuffledSampling, orders: list[Tensor]) -> None:
    steps = sampling.steps_per_epoch
    assert steps == 128
    for step in (0, 5, steps - 1, steps, steps + 1, 2 * steps - 1, 3):  # in any order: there is no state
        epoch, within = divmod(step, steps)
        assert torch.equal(sampling.indices(step), orders[epoch][8 * within : 8 * within + 8])


def test_a_bucketed_order_is_a_permutation_of_seed_and_epoch() -> None:
    for epoch in range(2):
        once = bucketed(LENGTHS, batch_size=8, seed=3, epoch=epoch)
        assert sorted(once.tolist()) == list(range(1030))
        assert torch.equal(once, bucketed(LENGTHS, batch_size=8, seed=3, epoch=epoch))
    assert not torch.equal(once, bucketed(LENGTHS, batch_size=8, seed=3, epoch=0))
    assert not torch.equal(once, bucketed(LENGTHS, batch_size=8, seed=4, epoch=1))


def test_a_bucket_is_sorted_and_its_batches_are_not() -> None:
    """Within a batch lengths are neighbours in their bucket; which batch comes when says nothing of its length."""
    samples = 8 * BUCKET
    batches = LENGTHS[bucketed(LENGTHS[:samples], batch_size=8, seed=0, epoch=0)].reshape(-1, 8)
    in_order = LENGTHS[:samples].sort().values.reshape(-1, 8)
    assert sorted(batches.tolist()) == in_order.tolist()
    assert batches[:, 0].tolist() != in_order[:, 0].tolist()
