from __future__ import annotations

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.methods.simsiam import SimSiam


def cosine(p: Tensor, z: Tensor) -> Tensor:
    return torch.stack([a @ b / (a @ a).sqrt() / (b @ b).sqrt() for a, b in zip(p, z, strict=True)]).mean()


def test_loss_and_gradient_are_those_of_algorithm_1() -> None:
    simsiam = built(SimSiam, projection_dim=8, prediction_dim=2)
    first, second = two_views()
    z1, z2 = (simsiam.projector(simsiam.encoder(view)) for view in (first, second))
    p1, p2 = simsiam.predictor(z1), simsiam.predictor(z2)
    expected = -cosine(p1, z2.detach()) / 2 - cosine(p2, z1.detach()) / 2
    parameters = list(simsiam.parameters())
    loss = simsiam.objective(first, second)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    for mine, papers in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(mine, papers, rtol=1e-9, atol=1e-12)


def test_the_heads_are_the_papers() -> None:
    simsiam = built(SimSiam, projection_dim=8, prediction_dim=2)
    widths = {
        name: [(layer.in_features, layer.out_features) for layer in head.modules() if isinstance(layer, nn.Linear)]
        for name, head in (("projector", simsiam.projector), ("predictor", simsiam.predictor))
    }
    assert widths == {"projector": [(6, 8), (8, 8), (8, 8)], "predictor": [(8, 2), (2, 8)]}
    z = simsiam.embed(two_views()[0])  # the projector's last layer is normalised, the predictor's is not
    torch.testing.assert_close(z.mean(0), torch.zeros(8, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(8, dtype=torch.float64), rtol=0, atol=1e-2)
    assert simsiam.predictor(z).std(0, correction=0).sub(1).abs().max() > 0.1


def test_a_perfect_prediction_scores_minus_1() -> None:
    simsiam = built(SimSiam, projection_dim=8, prediction_dim=2)
    simsiam.predictor = nn.Identity()
    first, _ = two_views()
    assert simsiam.objective(first, first).item() == pytest.approx(-1.0, abs=1e-12)


def test_it_shows_the_embeddings_that_are_predicted() -> None:
    simsiam = built(SimSiam, projection_dim=8, prediction_dim=2)
    first, second = two_views()
    simsiam.objective(first, second)
    z1, z2 = simsiam.tracked
    torch.testing.assert_close(z1, simsiam.embed(first).detach())
    torch.testing.assert_close(z2, simsiam.embed(second).detach())
    assert not z2.requires_grad


def test_impossible_options_are_told() -> None:
    with pytest.raises(UserError, match="prediction_dim must be at least 1, got 0"):
        SimSiam(Tiny(), prediction_dim=0)
    with pytest.raises(UserError, match="projection_dim must be at least 1, got -1"):
        SimSiam(Tiny(), projection_dim=-1)
