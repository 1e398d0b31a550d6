from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.instdisc import InstDisc
from likewise.seeding import generator_for

SAMPLES, BATCH, SEED = 12, 5, 4
INDICES = torch.tensor([7, 0, 3, 11, 4])
VIEW = two_views(BATCH)[0]


def ready(**options: Any) -> Any:
    instdisc = built(InstDisc, projection_dim=3, **options)
    instdisc.prepare(TrainingContext(SAMPLES, BATCH, steps=4, steps_per_epoch=2, seed=SEED))
    instdisc.double()
    instdisc.bank.vectors = F.normalize(instdisc.bank.vectors, dim=1)  # unit to the precision of float64
    return instdisc


def embedded(instdisc: InstDisc) -> Tensor:
    return F.normalize(instdisc.projector(instdisc.encoder(VIEW)), dim=1)


@pytest.mark.parametrize("batch", [BATCH, SAMPLES])
def test_softmax_names_the_sample_among_all(batch: int) -> None:
    instdisc = ready(loss="softmax", temperature=0.3)
    view, indices = two_views(batch)[0], torch.randperm(SAMPLES, generator=generator_for(0))[:batch]
    z, bank = F.normalize(instdisc.projector(instdisc.encoder(view)), dim=1), instdisc.bank.vectors.clone()
    expected = torch.zeros((), dtype=torch.float64)
    for v, i in zip(z, indices, strict=True):
        exponentials = [torch.exp(v @ row / 0.3) for row in bank]
        expected -= torch.log(exponentials[i] / sum(exponentials)) / batch
    assert instdisc.objective(view, indices)["loss"].item() == pytest.approx(expected.item(), rel=1e-10)


def test_nce_tells_the_sample_from_noise() -> None:
    instdisc = ready(temperature=0.3, noise=6)
    z, bank = embedded(instdisc), instdisc.bank.vectors.clone()
    noise = torch.randint(SAMPLES, (6,), generator=generator_for(SEED, 0))
    normaliser = SAMPLES * sum(torch.exp(v @ bank[j] / 0.3) for v in z for j in noise) / (BATCH * 6)

    def is_data(v: Tensor, j: Tensor) -> Tensor:
        probability = torch.exp(v @ bank[j] / 0.3) / normaliser
        return probability / (probability + 6 / SAMPLES)

    expected = torch.zeros((), dtype=torch.float64)
    for v, i in zip(z, INDICES, strict=True):
        expected -= (torch.log(is_data(v, i)) + sum(torch.log(1 - is_data(v, j)) for j in noise)) / BATCH
    assert instdisc.objective(VIEW, INDICES)["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    assert instdisc.log_normalizer.item() == pytest.approx(math.log(normaliser.item()), rel=1e-10)
    instdisc.objective(-VIEW, INDICES)
    assert instdisc.log_normalizer.item() == pytest.approx(
        math.log(normaliser.item()), rel=1e-10
    )  # that of the first batch


@pytest.mark.parametrize("loss", ["nce", "softmax"])
def test_the_bank_moves_after_it_was_compared_with(loss: str) -> None:
    instdisc = ready(loss=loss, bank_momentum=0.75)
    z, was = embedded(instdisc).detach(), instdisc.bank.vectors.clone()
    scalars = instdisc.objective(VIEW, INDICES)
    assert instdisc.tracked is not None
    torch.testing.assert_close(instdisc.tracked, (z, was[INDICES]))
    torch.testing.assert_close(scalars["bank_freshness"], (z * was[INDICES]).sum(1).mean())
    torch.testing.assert_close(instdisc.bank.vectors[INDICES], F.normalize(0.75 * was[INDICES] + 0.25 * z, dim=1))
    others = torch.tensor(sorted(set(range(SAMPLES)) - set(INDICES.tolist())))
    assert torch.equal(instdisc.bank.vectors[others], was[others])
    scalars["loss"].backward()
    assert all(weight.grad is not None for weight in instdisc.parameters())


def test_proximal_is_the_squared_distance_from_the_bank() -> None:
    plain, steady = (ready(proximal=proximal).objective(VIEW, INDICES)["loss"] for proximal in (0.0, 2.0))
    instdisc = ready()
    distance = (embedded(instdisc) - instdisc.bank.vectors[INDICES]).square().sum(1).mean()
    torch.testing.assert_close(steady, plain + 2 * distance)


def test_one_view_and_the_indices_are_asked_for() -> None:
    instdisc = ready()
    instdisc.views = lambda samples, generator: samples + 1
    view, indices = instdisc.make_views(Batch(VIEW, INDICES), generator_for(0))
    assert torch.equal(view, VIEW + 1)
    assert torch.equal(indices, INDICES)


def test_a_resumed_training_has_the_same_bank_and_normaliser() -> None:
    instdisc, resumed = ready(), ready()
    instdisc.objective(VIEW, INDICES)
    resumed.load_state_dict(instdisc.state_dict())
    again = [method.objective(-VIEW, INDICES)["loss"] for method in (instdisc, resumed)]
    assert torch.equal(again[0], again[1])
    assert torch.equal(instdisc.bank.vectors, resumed.bank.vectors)


@pytest.mark.parametrize("loss", ["nce", "softmax"])
def test_chance_is_what_equal_embeddings_give(loss: str) -> None:
    instdisc = ready(loss=loss)
    nn.init.zeros_(instdisc.projector.weight)
    nn.init.ones_(instdisc.projector.bias)
    instdisc.bank.vectors[:] = 3**-0.5
    chance = instdisc.chance(BATCH)["loss"]
    assert instdisc.objective(VIEW, INDICES)["loss"].item() == pytest.approx(chance, rel=1e-6)
    assert chance == pytest.approx(math.log(SAMPLES) if loss == "softmax" else math.log(4097) + 1, rel=1e-4)


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match="loss must be nce or softmax, got 'softmx', did you mean 'softmax'"):
        InstDisc(Tiny(), loss="softmx")
    with pytest.raises(UserError, match="noise must be at least 1, got 0"):
        InstDisc(Tiny(), noise=0)
    with pytest.raises(UserError, match=r"proximal must be 0 or more, got -1\.0"):
        InstDisc(Tiny(), proximal=-1.0)
    with pytest.raises(UserError, match=r"bank_momentum must be from 0 to 1, got 2\.0"):
        InstDisc(Tiny(), bank_momentum=2.0)
