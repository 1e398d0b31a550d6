from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_interval
from likewise.distributed import shuffle_batchnorm
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.modules.ema import EMA, cosine_momentum
from likewise.modules.memory_bank import MemoryBank
from likewise.modules.queue import Queue, queue_size
from likewise.modules.temperature import Temperature
from likewise.seeding import generator_for


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=generator_for(seed))


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


def test_a_momentum_copy_is_an_exponential_average_of_the_weights() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    copies = EMA(first, second)
    was = [weight.clone() for weight in copies.parameters()]
    view = rows(5)
    torch.testing.assert_close(copies(view), second(first(view)))
    with torch.no_grad():
        for weight in [*first.parameters(), *second.parameters()]:
            weight += 1
    assert all(torch.equal(a, b) for a, b in zip(was, copies.parameters(), strict=True))
    copies.update(first, second, momentum=0.75)
    theirs = [*first.parameters(), *second.parameters()]
    for old, new, followed in zip(was, copies.parameters(), theirs, strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * followed)
    assert not copies(view).requires_grad
    assert not any(weight.requires_grad for weight in copies.parameters())


def test_a_momentum_of_1_stays_and_of_0_copies() -> None:
    layer = nn.Linear(3, 2)
    copies = EMA(layer)
    was = copies.copies[0].weight.clone()
    nn.init.ones_(layer.weight)
    copies.update(layer, momentum=1.0)
    assert torch.equal(copies.copies[0].weight, was)
    copies.update(layer, momentum=0.0)
    assert torch.equal(copies.copies[0].weight, layer.weight)


def test_a_momentum_copys_batch_norm_sees_its_own_batches() -> None:
    norm = nn.BatchNorm1d(3)
    copies = EMA(norm)
    copies(rows(8) + 5)
    assert copies.copies[0].running_mean.mean() > 0.2
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_rising_goes_from_its_start_to_1_by_half_a_cosine() -> None:
    assert [cosine_momentum(0.9, progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert cosine_momentum(0.9, 0.25) == pytest.approx(1 - 0.1 * (math.cos(math.pi / 4) + 1) / 2)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_momentum_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(UserError, match=rf"momentum must be from 0 to 1, got {value}"):
        check_interval(0, 1, momentum=value)


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
    samples: int, batch: int, asked: int | None, size: int
) -> None:
    assert queue_size(asked, TrainingContext(samples, batch, 1, 1), most=65536, share=0.5) == size


@pytest.mark.parametrize("asked", [0, -64, 32, 100])
def test_a_queue_that_is_no_multiple_of_the_batch_is_refused(asked: int) -> None:
    with pytest.raises(UserError, match=rf"queue must be a multiple of the batch, 64, got {asked}"):
        queue_size(asked, TrainingContext(1000, 64, 1, 1), most=65536, share=0.5)


def test_a_bank_moves_the_rows_of_the_samples_that_came_and_no_others() -> None:
    bank = MemoryBank(7, 3)
    was = bank.vectors.clone()
    torch.testing.assert_close(was.norm(dim=1), torch.ones(7))
    indices, embeddings = torch.tensor([5, 0]), 4 * rows(2)
    fresh = bank.update(indices, embeddings, momentum=0.75)
    torch.testing.assert_close(bank.vectors[indices], unit(0.75 * was[indices] + 0.25 * unit(embeddings)))
    others = torch.tensor([1, 2, 3, 4, 6])
    assert torch.equal(bank.vectors[others], was[others])
    torch.testing.assert_close(fresh, F.cosine_similarity(was[indices], embeddings).mean())


def test_memories_begin_and_come_back_as_they_were() -> None:
    for one, again, other in [
        (Queue(6, 3, seed=1), Queue(6, 3, seed=1), Queue(6, 3, seed=2)),
        (MemoryBank(6, 3, seed=1), MemoryBank(6, 3, seed=1), MemoryBank(6, 3, seed=2)),
    ]:
        name = next(iter(one.state_dict()))
        assert torch.equal(one.state_dict()[name], again.state_dict()[name])
        assert not torch.equal(one.state_dict()[name], other.state_dict()[name])
    queue, resumed = Queue(4, 3), Queue(4, 3, seed=9)
    queue.push(rows(2))
    resumed.load_state_dict(queue.state_dict())
    for memory in (queue, resumed):
        memory.push(rows(2, 1))
    assert torch.equal(queue.keys, resumed.keys)
    assert torch.equal(queue.filled, resumed.filled)


def test_temperatures_are_fixed_scheduled_or_learned() -> None:
    assert Temperature(0.2)(0.7) == pytest.approx(0.2)
    assert Temperature("0.2")(0.7) == pytest.approx(0.2)
    assert [Temperature("0.5:0.1")(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.5, 0.3, 0.1])
    for value, start in {"learned": 0.07, "learned:0.3": 0.3}.items():
        temperature = Temperature(value)
        assert list(temperature.parameters()) == [temperature.log]
        assert temperature(0.5).item() == pytest.approx(start)
    temperature(0.0).backward()
    assert temperature.log.grad == pytest.approx(0.3)
    nn.init.constant_(temperature.log, -20)
    assert temperature(0.0).item() == pytest.approx(0.01)
    assert not list(Temperature(0.2).parameters())


@pytest.mark.parametrize(
    "value",
    [0.0, -1.0, math.nan, math.inf, "", "warm", "0.1:", "0.5:0", "0.5:0.3:0.1", "learned:0.1:0.2", "learned:-1"],
)
def test_impossible_temperatures_are_refused(value: float | str) -> None:
    with pytest.raises(UserError, match="temperature must be a number above 0, FIRST:LAST, learned or learned:START"):
        Temperature(value)


def one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    views = rows(8)[4 * rank : 4 * rank + 4]
    met: list[Tensor] = []

    def encode(view: Tensor) -> Tensor:
        met.append(view)
        return 2 * view + 1

    norm = nn.BatchNorm1d(3)
    results = {
        "plain": shuffle_batchnorm(encode, views, generator_for(0, 5)),
        "met": met[0],
        "normed": shuffle_batchnorm(norm, views, generator_for(0, 5)),
    }
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_shuffled_parts_meet_in_other_batches_and_come_back_in_their_places(tmp_path: Path) -> None:
    mp.spawn(one_rank, args=(str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    everything = rows(8)
    torch.testing.assert_close(torch.cat([rank["plain"] for rank in ranks]), 2 * everything + 1)
    met = [{tuple(row) for row in rank["met"].tolist()} for rank in ranks]
    own = [{tuple(row) for row in everything[part].tolist()} for part in (slice(4), slice(4, 8))]
    assert met[0] | met[1] == own[0] | own[1]
    assert met[0] & own[0]
    assert met[0] & own[1]  # each process encoded samples of both
    # BatchNorm normalised the batches that met, not those that belong to the processes.
    normed = {
        tuple(view): out
        for rank in ranks
        for view, out in zip(rank["met"].tolist(), nn.BatchNorm1d(3)(rank["met"]).detach(), strict=True)
    }
    expected = torch.stack([normed[tuple(row)] for row in everything.tolist()])
    torch.testing.assert_close(torch.cat([rank["normed"] for rank in ranks]).detach(), expected)
    assert not torch.allclose(expected[:4], nn.BatchNorm1d(3)(everything[:4]), atol=1e-2)


def test_a_single_process_has_nothing_to_shuffle() -> None:
    norm = nn.BatchNorm1d(3)
    assert torch.equal(shuffle_batchnorm(norm, rows(8), generator_for(0)), nn.BatchNorm1d(3)(rows(8)))
