from __future__ import annotations

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.methods import vicreg
from likewise.methods.vicreg import VICReg


def formula(z1: Tensor, z2: Tensor, invariance: float, variance: float, covariance: float) -> Tensor:
    """Algorithm 1, entry by entry."""
    n, d = z1.shape
    loss = invariance * sum((z1[i, j] - z2[i, j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    for z in (z1, z2):
        mean = z.mean(0)
        for j in range(d):
            spread = (((z[:, j] - mean[j]) ** 2).sum() / (n - 1) + 1e-4).sqrt()
            loss = loss + variance * torch.relu(1 - spread) / d
            for k in set(range(d)) - {j}:
                cov = ((z[:, j] - mean[j]) * (z[:, k] - mean[k])).sum() / (n - 1)
                loss = loss + covariance * cov**2 / d
    return loss


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 3.0, 0.0), (0.0, 0.0, 500.0)])
def test_the_objective_is_the_papers_algorithm(weights: tuple[float, float, float]) -> None:
    names = ("invariance", "variance", "covariance")
    method = built(VICReg, projection_dim=4, **dict(zip(names, weights, strict=True)))
    first, second = two_views()
    expected = formula(method.embed(first), method.embed(second), *weights)
    assert expected > 0.01
    assert method.objective(first, second).item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_papers_weights_are_the_defaults() -> None:
    assert built(VICReg, projection_dim=4).weights == {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}


def test_variances_are_those_of_the_batch_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(VICReg, projection_dim=4)
    elsewhere = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    monkeypatch.setattr(vicreg, "gather", lambda z: torch.cat([z, elsewhere]))
    first, second = two_views()
    z1, z2 = (torch.cat([method.embed(view), elsewhere]) for view in (first, second))
    assert method.objective(first, second).item() == pytest.approx(formula(z1, z2, 25, 25, 1).item(), rel=1e-10)
    assert [len(z) for z in method.tracked] == [10, 10]


def test_the_projector_has_three_layers_of_one_width() -> None:
    method = built(VICReg, projection_dim=4)
    layers = [layer for layer in method.projector if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(6, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize("name", ["invariance", "variance", "covariance"])
def test_negative_weights_are_told(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} must be 0 or more, got -1\.0"):
        VICReg(Tiny(), **{name: -1.0})
