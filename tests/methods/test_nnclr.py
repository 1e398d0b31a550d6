from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.nnclr import NNCLR

SAMPLES, BATCH, QUEUE = 40, 5, 10


def ready(**options: Any) -> Any:
    nnclr = built(NNCLR, projection_dim=3, hidden_dim=4, **options)
    nnclr.prepare(TrainingContext(SAMPLES, BATCH, steps=16, steps_per_epoch=8, seed=4))
    return nnclr.double()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / ((a @ a) * (b @ b)).sqrt()


def test_the_objective_names_the_prediction_of_the_neighbours_sample() -> None:
    nnclr = ready(queue=QUEUE, temperature=0.3)
    views = two_views(BATCH)
    z = [nnclr.projector(nnclr.encoder(view)) for view in views]
    p = [nnclr.predictor(each) for each in z]
    expected = torch.zeros((), dtype=torch.float64)
    for a, b in ((0, 1), (1, 0)):
        for i in range(BATCH):
            neighbour = max(nnclr.queue.keys, key=lambda row: cosine(row, z[a][i]).item())
            exponentials = [torch.exp(cosine(neighbour, p[b][j]) / 0.3) for j in range(BATCH)]
            expected -= torch.log(exponentials[i] / sum(exponentials)) / (2 * BATCH)
    assert nnclr.objective(*views)["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    torch.testing.assert_close(nnclr.queue.keys[:BATCH], F.normalize(z[0], dim=1))


def test_the_gradient_flows_through_the_predictions() -> None:
    nnclr = ready(queue=QUEUE)
    nnclr.objective(*two_views(BATCH))["loss"].backward()
    assert all(weight.grad is not None for weight in nnclr.parameters())
    assert nnclr.encoder.layer.weight.grad.norm() > 0


def test_a_queue_fills_and_ages_and_is_resumed() -> None:
    nnclr = ready(queue=QUEUE)
    logged = [nnclr.objective(*two_views(BATCH)) for _ in range(4)]
    assert [float(scalars["queue_filled"]) for scalars in logged] == [0, 0.5, 1, 1]
    assert [float(scalars["queue_age"]) for scalars in logged] == [0, 1, 1.5, 1.5]
    resumed = ready(queue=QUEUE)
    resumed.load_state_dict(nnclr.state_dict())
    again = [method.objective(*two_views(BATCH))["loss"] for method in (nnclr, resumed)]
    assert torch.equal(again[0], again[1])
    assert torch.equal(nnclr.queue.keys, resumed.queue.keys)


def test_chance_is_what_equal_embeddings_give() -> None:
    nnclr = ready(queue=QUEUE)
    last: nn.Linear = nnclr.predictor[-1]
    nn.init.zeros_(last.weight)
    nn.init.ones_(last.bias)
    chance = nnclr.chance(BATCH)
    assert chance == {"loss": math.log(BATCH)}
    assert nnclr.objective(*two_views(BATCH))["loss"].item() == pytest.approx(chance["loss"])


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match="queue must be a multiple of the batch, 5, got 12"):
        ready(queue=12)
    with pytest.raises(UserError, match="hidden_dim must be at least 1, got 0"):
        NNCLR(Tiny(), hidden_dim=0)
    with pytest.raises(UserError, match=r"temperature must be a number above 0, .*, got -1\.0"):
        NNCLR(Tiny(), temperature=-1.0)
