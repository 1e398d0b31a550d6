from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pairs import built, cosines, pair_encoder, samples, siglip_formula
from torch import Tensor

from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.siglip import SigLIP


def halves(method: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, Tensor]]:
    views = samples().parts
    return views, tuple(tower(view) for tower, view in zip(method.encoder.towers, views, strict=True))


@pytest.mark.parametrize("options", [{}, {"scale": 3.0, "bias": -1.5}])
def test_the_objective_is_the_papers(options: dict[str, float]) -> None:
    siglip = built(SigLIP, **options)
    views, z = halves(siglip)
    scale, bias = options.get("scale", 10.0), options.get("bias", -10.0)
    answer = siglip.objective(*views)
    assert answer["loss"].item() == pytest.approx(siglip_formula(*z, scale, bias).item(), rel=1e-6)
    assert answer["scale"].item() == pytest.approx(scale)
    assert answer["bias"].item() == bias


def test_scale_and_bias_are_learned() -> None:
    siglip = built(SigLIP, scale=4.0, bias=-2.0)
    views, z = halves(siglip)
    log = torch.tensor(math.log(4), dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    siglip_formula(*(half.detach() for half in z), log.exp(), bias).backward()
    siglip.objective(*views)["loss"].backward()
    assert min(abs(log.grad.item()), abs(bias.grad.item())) > 1e-3
    assert siglip.log_scale.grad.item() == pytest.approx(log.grad.item(), rel=1e-6)
    assert siglip.bias.grad.item() == pytest.approx(bias.grad.item(), rel=1e-6)


def test_no_parameter_of_it_decays() -> None:
    """Weight decay is for matrices: it would pull scale and bias to 0."""
    siglip = built(SigLIP)
    assert [siglip.log_scale.ndim, siglip.bias.ndim] == [0, 0]


def test_at_first_nothing_is_called_a_pair() -> None:
    siglip = built(SigLIP)
    views, z = halves(siglip)
    answer = siglip.objective(*views)
    own = torch.stack([row[i] for i, row in enumerate(cosines(*z))])
    assert answer["loss"].item() == pytest.approx((10 - 10 * own).mean().item(), abs=1.0)


def test_chance_is_the_best_that_one_number_for_all_can_say() -> None:
    for batch in (2, 128):
        share = 1 / batch
        nats = -batch * (share * math.log(share) + (1 - share) * math.log(1 - share))
        assert built(SigLIP).chance(batch)["loss"] == pytest.approx(nats)
        assert built(SigLIP).chance(batch)["accuracy"] == share


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"scale must be above 0, got -1\.0"):
        build_method("siglip", pair_encoder(), {"scale": -1.0})
    with pytest.raises(UserError, match="bias must be finite, got nan"):
        build_method("siglip", pair_encoder(), {"bias": math.nan})
