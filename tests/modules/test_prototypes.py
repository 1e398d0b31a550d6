"""Directions that stand for clusters."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.modules.prototypes import Prototypes, WeightNormPrototypes, usage_entropy
from likewise.seeding import generator_for


def rows(n: int, dim: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=generator_for(seed))


@pytest.mark.parametrize("kind", [Prototypes, WeightNormPrototypes])
def test_scores_are_cosines_with_the_prototypes(kind: type[Prototypes]) -> None:
    prototypes, z = kind(3, 4), 5 * rows(6)
    prototypes.normalize()
    scores = prototypes(z)
    for i, j in [(0, 0), (5, 3), (2, 1)]:
        assert scores[i, j].item() == pytest.approx(F.cosine_similarity(z[i], prototypes.weight[j], dim=0).item())


def test_prototypes_come_back_to_length_1() -> None:
    prototypes = Prototypes(3, 4)
    direction = prototypes.weight.detach().clone()
    with torch.no_grad():
        prototypes.weight *= torch.tensor([[0.1], [2.0], [3.0], [40.0]])
    prototypes.normalize()
    torch.testing.assert_close(prototypes.weight.detach(), F.normalize(direction, dim=1))


def test_weight_norm_makes_length_irrelevant_and_the_gradient_tangential() -> None:
    prototypes, z = WeightNormPrototypes(3, 4), rows(6)
    before = prototypes(z)
    with torch.no_grad():
        prototypes.weight *= 7
    torch.testing.assert_close(prototypes(z), before)
    prototypes(z).logsumexp(1).sum().backward()
    gradient = prototypes.weight.grad
    assert gradient is not None
    assert gradient.norm() > 0
    assert (gradient * prototypes.weight).sum(1).abs().max() < 1e-5


def test_one_prototype_is_no_choice() -> None:
    with pytest.raises(UserError, match="prototypes must be at least 2, got 1"):
        Prototypes(3, 1)


def test_usage_entropy_is_1_for_even_use_and_0_for_a_collapse() -> None:
    assert usage_entropy(torch.full((5,), 0.2)).item() == pytest.approx(1)
    assert usage_entropy(torch.tensor([0.0, 1.0, 0.0])).item() == 0
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(3)
    assert usage_entropy(torch.tensor([0.25, 0.75, 0.0])).item() == pytest.approx(expected)
