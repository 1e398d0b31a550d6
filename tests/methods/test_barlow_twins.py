from __future__ import annotations

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.methods import barlow_twins
from likewise.methods.barlow_twins import BarlowTwins


def formula(z1: Tensor, z2: Tensor, redundancy: float) -> Tensor:
    """Equations 1 and 2, entry by entry."""
    a, b = z1 - z1.mean(0), z2 - z2.mean(0)
    loss = torch.zeros((), dtype=torch.float64)
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            c = (a[:, i] * b[:, j]).sum() / (a[:, i] ** 2).sum().sqrt() / (b[:, j] ** 2).sum().sqrt()
            loss = loss + ((1 - c) ** 2 if i == j else redundancy * c**2)
    return loss


@pytest.mark.parametrize("redundancy", [0.005, 0.3])
def test_the_objective_is_the_papers_equation(redundancy: float) -> None:
    method = built(BarlowTwins, projection_dim=4, redundancy=redundancy)
    first, second = two_views()
    expected = formula(method.embed(first), method.embed(second), redundancy)
    assert method.objective(first, second).item() == pytest.approx(expected.item(), rel=1e-10)


def test_correlations_are_those_of_the_batch_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(BarlowTwins, projection_dim=4)
    elsewhere = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    monkeypatch.setattr(barlow_twins, "gather", lambda z: torch.cat([z, elsewhere]))
    first, second = two_views()
    z1, z2 = (torch.cat([method.embed(view), elsewhere]) for view in (first, second))
    assert method.objective(first, second).item() == pytest.approx(formula(z1, z2, 0.005).item(), rel=1e-10)
    assert [len(z) for z in method.tracked] == [10, 10]


def test_the_projector_has_three_layers_of_one_width() -> None:
    method = built(BarlowTwins, projection_dim=4)
    layers = [layer for layer in method.projector if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(6, 4), (4, 4), (4, 4)]


def test_impossible_options_are_told() -> None:
    with pytest.raises(UserError, match=r"redundancy must be 0 or more, got -0\.1"):
        BarlowTwins(Tiny(), redundancy=-0.1)
    with pytest.raises(UserError, match="projection_dim must be at least 2, got 1"):
        BarlowTwins(Tiny(), projection_dim=1)
