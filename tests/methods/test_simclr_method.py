from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn
from torch.nn import functional as F

from likewise import losses
from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods import simclr as simclr_module
from likewise.methods.base import TrainingContext
from likewise.methods.simclr import LOSSES, SimCLR
from likewise.seeding import generator_for

LABELS = torch.tensor([2, 0, 2, 1, 0])
CHOICES: dict[str, tuple[dict[str, Any], Callable[..., Tensor]]] = {
    "nt-xent": ({}, losses.nt_xent),
    "dcl": ({}, losses.dcl),
    "dcl-w": ({}, losses.dcl_w),
    "hcl": (
        {"beta": 0.7, "tau_plus": 0.2},
        lambda z1, z2, temperature: losses.hcl(z1, z2, temperature=temperature, beta=0.7, tau_plus=0.2),
    ),
    "hardest": (
        {"negatives": 3},
        lambda z1, z2, temperature: losses.nt_xent_hardest(z1, z2, temperature=temperature, k=3),
    ),
    "sup-con": ({}, lambda z1, z2, temperature: losses.sup_con(z1, z2, temperature=temperature, labels=LABELS)),
}


class Views:
    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        return batch + torch.rand(batch.shape, generator=generator)

    def clean(self, batch: Any) -> Any:
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


def given(method: SimCLR) -> tuple[Tensor, ...]:
    """What the objective takes, with labels where it asks for them."""
    return (*two_views(), LABELS) if method.supervised else tuple(two_views())


def test_the_choices_of_the_loss_are_all_tested() -> None:
    assert tuple(CHOICES) == LOSSES


@pytest.mark.parametrize("loss", LOSSES)
def test_each_choice_is_its_loss_with_its_own_arguments(loss: str) -> None:
    method = built(SimCLR, loss=loss, projection_dim=3, temperature=0.2, **CHOICES[loss][0])
    z = method.projector(method.encoder(torch.cat(list(two_views()))))
    values = {name: f(*z.chunk(2), temperature=0.2).item() for name, (_, f) in CHOICES.items()}
    answer = method.objective(*given(method)).item()
    assert answer == pytest.approx(values.pop(loss), rel=1e-10)
    assert all(abs(answer - other) > 1e-5 for other in values.values())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("temperature", [0.1, "learned"])
def test_the_chance_of_each_choice_is_what_equal_embeddings_give(loss: str, temperature: float | str) -> None:
    method = built(SimCLR, loss=loss, projection_dim=3, temperature=temperature, negatives=3)
    last = method.projector[-1]
    nn.init.zeros_(last.weight)
    nn.init.ones_(last.bias)
    assert method.objective(*given(method)).item() == pytest.approx(method.chance(5)["loss"], rel=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_temperature_that_is_learned_gets_its_gradient(loss: str) -> None:
    options, expected = CHOICES[loss]
    method = built(SimCLR, loss=loss, projection_dim=3, temperature="learned:0.3", **options)
    log = torch.tensor(math.log(0.3), dtype=torch.float64, requires_grad=True)
    z = method.projector(method.encoder(torch.cat(list(two_views())))).detach()
    expected(*z.chunk(2), temperature=log.exp()).backward()
    method.objective(*given(method)).backward()
    learned = dict(method.named_parameters())["temperature.log"]
    assert abs(learned.grad.item()) > 1e-3
    assert learned.grad.item() == pytest.approx(log.grad.item(), rel=1e-6)


@pytest.mark.parametrize(("progress", "temperature"), [(0.0, 0.5), (0.5, 0.3), (1.0, 0.1)])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_temperature_follows_its_schedule(
    loss: str, progress: float, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, expected = CHOICES[loss]
    method = built(SimCLR, loss=loss, projection_dim=3, temperature="0.5:0.1", **options)
    monkeypatch.setattr(SimCLR, "progress", progress)
    z = method.projector(method.encoder(torch.cat(list(two_views()))))
    value = expected(*z.chunk(2), temperature=temperature).item()
    assert method.objective(*given(method)).item() == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_reach_the_supervised_choice_alone(loss: str) -> None:
    method = built(SimCLR, loss=loss)
    method.views = Views()
    assert method.supervised == (loss == "sup-con")
    views = method.make_views(Batch(torch.zeros(5, 1, 4, 4), torch.arange(5), LABELS), generator_for(0))
    assert len(views) == 2 + (loss == "sup-con")
    assert loss != "sup-con" or torch.equal(views[2], LABELS)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_batch_is_that_of_all_processes(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(SimCLR, loss=loss, projection_dim=3, temperature=0.2, negatives=3)
    monkeypatch.setattr(simclr_module, "gather", lambda rows: torch.cat([rows, rows]))
    z1, z2 = method.projector(method.encoder(torch.cat(list(two_views())))).chunk(2)
    joined = {"labels": LABELS.repeat(2)} if method.supervised else {}
    expected = method.compare(torch.cat([z1, z1]), torch.cat([z2, z2]), temperature=0.2, **joined)
    assert method.objective(*given(method)).item() == pytest.approx(expected.item(), rel=1e-10)
    assert [len(z) for z in method.tracked] == [10, 10]


def test_the_objective_shows_its_embeddings_without_their_gradient(simclr: SimCLR) -> None:
    simclr.objective(*torch.randn(2, 6, 1, 8, 8))
    assert simclr.tracked is not None
    assert [z.shape for z in simclr.tracked] == [(6, 32), (6, 32)]
    assert not any(z.requires_grad for z in simclr.tracked)


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


def test_impossible_options_are_told() -> None:
    with pytest.raises(UserError, match=r"loss must be one of nt-xent, .*, got 'dlc', did you mean 'dcl'\?"):
        SimCLR(Tiny(), loss="dlc")
    with pytest.raises(UserError, match=r"beta must be 0 or more, got -1\.0"):
        SimCLR(Tiny(), loss="hcl", beta=-1.0)
    with pytest.raises(UserError, match=r"tau_plus must be from 0 to below 1, got 1\.0"):
        SimCLR(Tiny(), loss="hcl", tau_plus=1.0)
    with pytest.raises(UserError, match="negatives must be at least 1, got 0"):
        SimCLR(Tiny(), loss="hardest", negatives=0)
    with pytest.raises(UserError, match="projection_dim must be at least 1, got 0"):
        SimCLR(Tiny(), projection_dim=0)
    with pytest.raises(UserError, match=r"temperature must be a number above 0, .*, got 'warm'"):
        SimCLR(Tiny(), temperature="warm")


def test_more_hard_negatives_than_the_batch_has_are_told() -> None:
    method = SimCLR(Tiny(), loss="hardest", negatives=15)
    method.prepare(TrainingContext(samples=100, batch_size=9, steps=11, steps_per_epoch=11))
    with pytest.raises(UserError, match=r"negatives must be at most 2 batch_size - 2 = 14, got 15"):
        method.prepare(TrainingContext(samples=100, batch_size=8, steps=12, steps_per_epoch=12))
    SimCLR(Tiny(), negatives=15).prepare(TrainingContext(samples=100, batch_size=8, steps=12, steps_per_epoch=12))


def test_a_norm_can_follow_the_last_layer_of_the_head() -> None:
    simclr = built(SimCLR, projection_dim=4, projection_norm=True)
    *_, linear, norm = simclr.projector
    assert (linear.bias, norm.bias.requires_grad, norm.weight.requires_grad) == (None, False, True)
    z = simclr.embed(two_views(50)[0])
    torch.testing.assert_close(z.mean(0), torch.zeros(4).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(4).double(), rtol=0, atol=1e-2)
    simclr.objective(*two_views()).backward()
    assert all((p.grad is not None) == p.requires_grad for p in simclr.parameters())
    assert isinstance(built(SimCLR, projection_dim=4).projector[-1], nn.Linear)
