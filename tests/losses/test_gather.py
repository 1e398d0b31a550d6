"""Two processes over gloo against one process on the joined batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from likewise import losses
from likewise.distributed import gather_uneven, rank
from processes import in_processes

N, D = 6, 5
LABELS = torch.arange(N) % 3
DIRECTIONS = losses.random_directions(D, 4, torch.Generator().manual_seed(0))
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, temperature=0.2),
    "info_nce": losses.info_nce,
    "dcl": losses.dcl,
    "dcl_w": losses.dcl_w,
    "hcl": losses.hcl,
    "hardest": lambda a, b: losses.nt_xent_hardest(a, b, k=3),
    "sup_con": lambda a, b: losses.sup_con(a, b, labels=LABELS),
    "triplet": lambda a, b: losses.mined_triplet(a, LABELS),
    "barlow_twins": losses.barlow_twins,
    "vicreg": losses.vicreg,
    "sigreg": lambda a, b: losses.sigreg(a, DIRECTIONS) + losses.sigreg(b, DIRECTIONS),
    "koleo": lambda a, b: losses.koleo(a) + losses.koleo(b),
    "similarity_matching": losses.similarity_matching,
    "center_prediction": lambda a, b: losses.center_prediction([a, b]),
    "codes": lambda a, b: losses.swapped_prediction([a, b], [losses.sinkhorn(a), losses.sinkhorn(b)]),
}


def batch() -> Tensor:
    return torch.randn(2, N, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def encoder() -> nn.Module:
    model = nn.Linear(3, D, dtype=torch.float64)
    weights = torch.linspace(-1, 1, 3 * D, dtype=torch.float64).sin()
    nn.init.zeros_(model.bias)
    model.weight.data = weights.view(D, 3)
    return model


def of_half(folder: Path) -> dict[str, list[Tensor]]:
    """Values and gradients of the losses in one of two processes, each of which has half of the batch."""
    model = DistributedDataParallel(encoder())
    half = slice(rank() * N // 2, (rank() + 1) * N // 2)
    first, second = batch()[:, half]
    results = {}
    for name, loss in LOSSES.items():
        model.zero_grad()
        z = model(torch.cat([first, second]))
        a, b = z.chunk(2)
        value = loss(losses.gather(a), losses.gather(b))
        value.backward()
        results[name] = [value.detach(), *(p.grad.clone() for p in model.parameters())]
    # A loss that each rank takes of its own rows against the keys of all: the mean over ranks is the joined
    # loss.
    model.zero_grad()
    a, b = model(torch.cat([first, second])).chunk(2)
    a, b = nn.functional.normalize(a), losses.gather(nn.functional.normalize(b))
    value = nn.functional.cross_entropy(a @ b.T / 0.07, half.start + torch.arange(N // 2))
    value.backward()
    mean = value.detach() / 2
    dist.all_reduce(mean)
    uneven, mine = gather_uneven(torch.arange(3 * rank())[:, None] + 10.0 * rank())
    results["uneven"] = [uneven, uneven[mine], gather_uneven(torch.ones(0, 2))[0]]
    results["labels"] = [losses.gather(LABELS[half])]
    results["own queries"] = [mean, *(p.grad.clone() for p in model.parameters())]
    return results


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes has."""
    return in_processes(2, of_half, tmp_path_factory.mktemp("two"))


def test_two_processes_equal_one(two: list[dict[str, Any]]) -> None:
    assert all(torch.equal(each["labels"][0], LABELS) for each in two)
    for name, loss in [*LOSSES.items(), ("own queries", losses.info_nce)]:
        model = encoder()
        first, second = (model(view) for view in batch())
        value = loss(first, second)
        wanted = [value.detach(), *torch.autograd.grad(value, list(model.parameters()))]
        for each in two:
            for got, exact in zip(each[name], wanted, strict=True):
                assert (got - exact).norm() <= 1e-6 * exact.norm().clamp(min=1e-6), name


def test_processes_may_bring_different_numbers_of_rows(two: list[dict[str, Any]]) -> None:
    of_second = torch.tensor([[10.0], [11.0], [12.0]])
    for each, own in zip(two, (of_second[:0], of_second), strict=True):
        every, mine, none = each["uneven"]
        assert torch.equal(every, of_second)
        assert torch.equal(mine, own)
        assert none.shape == (0, 2)
    assert gather_uneven(of_second) == (of_second, slice(0, 3))


def test_a_single_process_keeps_its_rows() -> None:
    rows = batch()[0]
    assert losses.gather(rows) is rows
