"""BatchNorm over two processes is BatchNorm of the whole batch."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from likewise.distributed import gather, local_rows
from likewise.modules.batch_norm import join_batch_norm, part_batch_norm
from likewise.seeding import generator_for
from processes import in_processes

CPU = torch.device("cpu")


def network(momentum: float | None) -> nn.Module:
    """BatchNorm of every kind, the last without weights; after it rows of different processes are compared."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, momentum=momentum),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        BatchNormAct2d(4),
        nn.Flatten(),
        nn.Linear(64, 3),
        nn.BatchNorm1d(3, affine=False),
    ).double()


def learned(folder: Path | None, momentum: float | None) -> dict[str, Tensor]:
    """Outputs, gradients and state after two steps on a part of each batch."""
    model = network(momentum)
    if folder is not None:
        join_batch_norm(model, CPU)
    weights = torch.randn(12, 3, generator=generator_for(9), dtype=torch.float64)
    for step in range(2):
        views = torch.randn(12, 1, 8, 8, generator=generator_for(step), dtype=torch.float64)
        views *= torch.arange(1, 13)[:, None, None, None]  # parts differ in what they are normalized by
        model.zero_grad()
        y = gather(model(local_rows(views)))
        ((y @ y.T).tanh().sum() + (weights * y.square()).sum()).backward()
    if folder is not None:
        part_batch_norm(model)
    gradients = {f"gradient of {name}": p.grad for name, p in model.named_parameters()}
    model.eval()
    return {"y": y.detach(), "evaluated": model(views).detach(), **gradients, **model.state_dict()}


@pytest.fixture(
    scope="module",
    params=[pytest.param(0.1, id="moving"), pytest.param(None, id="cumulative", marks=pytest.mark.slow)],
)
def momentum(request: pytest.FixtureRequest) -> float | None:
    return request.param


def test_two_processes_have_the_outputs_gradients_and_statistics_of_one(momentum: float | None, tmp_path: Path) -> None:
    exact = learned(None, momentum)
    first, second = in_processes(2, learned, tmp_path, momentum)
    assert list(first) == list(exact)
    for name, value in exact.items():
        got = (first[name].double() + second[name].double()) / 2  # gradients are averaged over processes
        torch.testing.assert_close(
            got, value.double(), rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_it_normalizes_half_precision_in_float32() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    join_batch_norm(model, CPU)
    x = torch.randn(64, 3, generator=generator_for(0)).bfloat16()
    assert model(x).dtype == torch.bfloat16
    torch.testing.assert_close(model(x), nn.BatchNorm1d(3)(x.float()).bfloat16())


def test_joined_and_parted_is_the_same_network() -> None:
    model = network(0.1)
    expected, kinds = copy.deepcopy(model.state_dict()), [type(layer) for layer in model]
    join_batch_norm(model, CPU)
    assert [type(layer) for layer in model] != kinds
    assert list(model.state_dict()) == list(expected)
    part_batch_norm(model)
    assert [type(layer) for layer in model] == kinds
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_a_layer_in_two_places_stays_one() -> None:
    norm = nn.BatchNorm1d(3)
    model = nn.ModuleList([nn.Sequential(norm), nn.Sequential(norm)])
    join_batch_norm(model, CPU)
    assert model[0][0] is model[1][0] is not norm


def test_on_gpus_it_is_torchs() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    join_batch_norm(model, torch.device("cuda"))
    assert isinstance(model[0], nn.SyncBatchNorm)
    x = torch.randn(5, 3, generator=generator_for(0))
    assert torch.equal(model.eval()(x), nn.BatchNorm1d(3).eval()(x))
