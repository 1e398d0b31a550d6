"""One embedding for every sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.modules.memory_bank import MemoryBank
from likewise.modules.queue import Queue
from likewise.seeding import generator_for


def rows(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, generator=generator_for(seed))


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


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
