from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods import METHODS, build_method, method_class, method_options
from likewise.methods.base import Method, generator_for
from likewise.methods.simclr import SimCLR


class Views:
    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        return batch + torch.rand(batch.shape, generator=generator)

    def plain(self, batch: Any) -> Any:
        return batch


@pytest.fixture
def simclr() -> SimCLR:
    torch.manual_seed(0)
    return SimCLR(image_encoder("resnet8", channels=1, size=8), projection_dim=32, temperature=0.3)


def test_the_objective_is_the_papers_equation(simclr: SimCLR) -> None:
    first, second = torch.randn(2, 6, 1, 8, 8)
    simclr.eval()
    z = F.normalize(simclr.projector(simclr.encoder(torch.cat([first, second]))).double(), dim=1)
    loss = torch.zeros((), dtype=torch.float64)
    for i in range(12):
        j = (i + 6) % 12
        others = [k for k in range(12) if k != i]
        loss -= torch.log(torch.exp(z[i] @ z[j] / 0.3) / sum(torch.exp(z[i] @ z[k] / 0.3) for k in others)) / 12
    assert simclr.objective(first, second).item() == pytest.approx(loss.item(), rel=1e-5)


def test_chance_is_what_equal_embeddings_give(simclr: SimCLR) -> None:
    chance = simclr.chance(6)
    assert chance == {"loss": math.log(11)}
    simclr.projector = nn.Sequential(nn.Flatten(), nn.Linear(256, 4))
    nn.init.zeros_(simclr.projector[1].weight)
    nn.init.ones_(simclr.projector[1].bias)
    assert simclr.objective(*torch.randn(2, 6, 1, 8, 8)).item() == pytest.approx(chance["loss"], rel=1e-5)


def test_the_objective_shows_its_embeddings_without_their_gradient(simclr: SimCLR) -> None:
    simclr.objective(*torch.randn(2, 6, 1, 8, 8))
    assert simclr.observed is not None
    assert [z.shape for z in simclr.observed] == [(6, 32), (6, 32)]
    assert not any(z.requires_grad for z in simclr.observed)


def test_views_are_a_function_of_seed_step_and_rank(simclr: SimCLR) -> None:
    simclr.views = Views()
    batch = Batch(torch.zeros(4, 1, 8, 8), torch.arange(4))
    one, again, other = (simclr.make_views(batch, generator_for(3, step, 0)) for step in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[0], one[1])
    assert (
        len({generator_for(*key).initial_seed() for key in [(3, 5, 0), (3, 5, 1), (3, 6, 0), (4, 5, 0), (5, 3, 0)]})
        == 5
    )


def test_options_are_checked() -> None:
    encoder = image_encoder("resnet8", channels=1, size=8)
    with pytest.raises(UserError, match=r"simclr has no option 'temprature', did you mean 'temperature'\?"):
        build_method("simclr", encoder, {"temprature": 1.0})
    with pytest.raises(UserError, match=r"temperature must be a number above 0, .*, got -1\.0"):
        build_method("simclr", encoder, {"temperature": -1})
    with pytest.raises(UserError, match=r"projection_dim must be a whole number, got 1\.5"):
        build_method("simclr", encoder, {"projection_dim": 1.5})


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name: str) -> None:
    method = method_class(name)
    assert issubclass(method, Method)
    assert method.family
    assert method.choose
    assert f"arXiv:{method.paper}" in (method.__doc__ or "")
    assert all(not isinstance(default, type) for default in method_options(name).values())
