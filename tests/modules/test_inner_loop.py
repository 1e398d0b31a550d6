"""The inner loop: steps of gradient descent, as written by hand; BatchNorm by what it is given."""

from __future__ import annotations

from itertools import repeat

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.modules.inner_loop import (
    Weights,
    batch_statistics,
    check_inner_loop,
    class_scores,
    embed_with,
    initial_weights,
    inner_loop,
)

WAY, SHOT, LR = 3, 2, 0.7


class Linear(nn.Module):
    """z = A x."""

    dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, self.dim, bias=False)

    def forward(self, view: Tensor) -> Tensor:
        return self.layer(view)


@pytest.fixture
def encoder() -> Linear:
    torch.manual_seed(0)
    return Linear().double()


def episode() -> tuple[Tensor, Tensor]:
    view = torch.randn(WAY * SHOT, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return view, torch.arange(WAY).repeat_interleave(SHOT)


def test_it_is_gradient_descent_as_written_by_hand(encoder: Linear) -> None:
    x, classes = episode()
    truth = F.one_hot(classes, WAY).double()

    def loss(weights: Weights) -> Tensor:
        return F.cross_entropy(class_scores(weights, embed_with(encoder, weights, x)), classes)

    path = list(inner_loop(repeat(loss, 4), initial_weights(encoder, WAY), lr=LR, second_order=False))

    a = encoder.layer.weight.detach().clone()
    w, b = torch.zeros(WAY, 4, dtype=torch.float64), torch.zeros(WAY, dtype=torch.float64)
    for weights in path:
        assert torch.allclose(weights["encoder"]["layer.weight"], a, rtol=1e-12)
        assert torch.allclose(weights["head"]["weight"], w, rtol=1e-12)
        assert torch.allclose(weights["head"]["bias"], b, rtol=1e-12)
        z = x @ a.T
        error = ((z @ w.T + b).softmax(1) - truth) / len(x)  # ∂L/∂scores of the mean cross-entropy
        a, w, b = a - LR * (error @ w).T @ x, w - LR * error.T @ z, b - LR * error.sum(0)
    assert len(path) == 5
    assert torch.equal(path[1]["encoder"]["layer.weight"], path[0]["encoder"]["layer.weight"])  # behind a head of zeros
    assert not torch.equal(path[2]["encoder"]["layer.weight"], path[0]["encoder"]["layer.weight"])
    assert torch.equal(encoder.layer.weight, path[0]["encoder"]["layer.weight"])


def test_weights_that_are_not_trained_stay(encoder: Linear) -> None:
    encoder.register_parameter("fixed", nn.Parameter(torch.ones(1), requires_grad=False))
    assert list(initial_weights(encoder, WAY)["encoder"]) == ["layer.weight"]


class Normalized(nn.Module):
    dim = 5

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, view: Tensor) -> Tensor:
        return self.norm(view)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_goes_by_what_it_is_given(training: bool) -> None:
    encoder = Normalized().double().train(training)
    x, _ = episode()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with batch_statistics(encoder):
        for part in (x[:3], 5 + 9 * x[3:]):
            z = embed_with(encoder, initial_weights(encoder, WAY), part)
            exact = (part - part.mean(0)) / (part.var(0, correction=0) + encoder.norm.eps).sqrt()
            assert torch.allclose(z, exact, rtol=1e-12)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.norm.training == training
    assert encoder.norm.track_running_stats


def test_impossible_loops_are_told() -> None:
    with pytest.raises(UserError, match=r"^inner_steps must be from 1 to 1000, got 0"):
        check_inner_loop(inner_steps=0, inner_lr=0.1)
    with pytest.raises(UserError, match=r"^inner_lr must be above 0, got 0"):
        check_inner_loop(inner_steps=1, inner_lr=0.0)
