"""For every method: gradients in micro-batches, and over two processes, are those of the whole batch."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from small_methods import BATCH, CASES, gradients, loss_of, ready, views_of
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from likewise.distributed import rank
from likewise.methods import method_class
from likewise.methods.maml import MAML
from processes import in_processes

MICRO, STEPS, RATE = 4, 2, 0.1
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-8}
NEGLIGIBLE = 0.1  # part of the whole gradient: a bias before BatchNorm has none, but for rounding


def check_equal(got: dict[str, Tensor], exact: dict[str, Tensor], tolerance: float) -> None:
    assert got.keys() == exact.keys()
    whole = sum(float(value.double().square().sum()) for value in exact.values()) ** 0.5
    assert whole > 0
    for name, value in exact.items():
        if value.is_floating_point():
            allowed = tolerance * max(float(value.norm()), NEGLIGIBLE * whole)
            assert float((got[name] - value).norm()) <= allowed, name
        else:
            assert torch.equal(got[name], value), name


# Others encode each episode with weights of its own, and refuse micro-batches: see test_maml.py.
IN_MICRO_BATCHES = [case for case, (name, _) in CASES.items() if not issubclass(method_class(name), MAML)]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("case", IN_MICRO_BATCHES)
def test_micro_batches_have_the_gradients_of_the_batch(case: str, dtype: torch.dtype) -> None:
    whole, cached = ready(case, dtype=dtype), ready(case, dtype=dtype)
    cached.training_context = cached.training_context._replace(micro_batch_size=MICRO)
    encoded = set()

    def note(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():
            encoded.add(len(arguments[0]))

    first_layer = next(layer for layer in cached.encoder.modules() if isinstance(layer, nn.Conv2d))
    first_layer.register_forward_pre_hook(note)
    for method in (whole, cached):
        loss_of(method.objective(*views_of(method, dtype=dtype))).backward()

    assert encoded == {MICRO}
    check_equal(gradients(cached), gradients(whole), TOLERANCES[dtype])
    check_equal(cached.state_dict(), whole.state_dict(), TOLERANCES[dtype])


class Objective(nn.Module):
    """A method as DistributedDataParallel wants it: what is called is the objective."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method = method

    def forward(self, *views: Any) -> Tensor:
        return loss_of(self.method.objective(*views))


def trained(case: str, part: slice) -> dict[str, dict[str, Tensor]]:
    """Losses and gradients of some steps on `part` of every batch, and the state they end with."""
    method = ready(case)
    objective: nn.Module = Objective(method)
    if dist.is_initialized():
        objective = DistributedDataParallel(objective)
    results: dict[str, dict[str, Tensor]] = {"losses": {}}
    for step in range(STEPS):
        # A view may hold several variants of the batch, one after the other.
        views = [view.unflatten(0, (-1, BATCH))[:, part].flatten(0, 1) for view in views_of(method, step)]
        method.zero_grad()
        loss = objective(*views)
        loss.backward()
        results["losses"][str(step)] = loss.detach()
        results[f"gradients of step {step}"] = gradients(method)
        with torch.no_grad():
            for parameter in method.parameters():
                if parameter.grad is not None:
                    parameter -= RATE * parameter.grad
    results["state"] = method.state_dict()
    return results


def of_half(folder: Path) -> dict[str, Any]:
    """What every method has in one of two processes, each of which has half of the batch; or its error."""
    half = BATCH // 2
    results: dict[str, Any] = {}
    for case in CASES:
        try:
            results[case] = trained(case, slice(rank() * half, (rank() + 1) * half))
        except Exception:
            results[case] = traceback.format_exc()
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(2, of_half, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_gradients_and_memories_of_one(case: str, ranks: list[dict[str, Any]]) -> None:
    results = [rank[case] for rank in ranks]
    for result in results:
        assert not isinstance(result, str), result
    exact = trained(case, slice(None))
    losses = [result.pop("losses") for result in results]
    mean = {step: (losses[0][step] + losses[1][step]) / 2 for step in losses[0]}
    check_equal(mean, exact.pop("losses"), 1e-6)
    for result in results:
        for name, values in exact.items():
            check_equal(result[name], values, 1e-6)
