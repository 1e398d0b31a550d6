from __future__ import annotations

import math

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor
from torch.nn import functional as F

from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.swav import SwAV
from likewise.seeding import generator_for

SMALL = {"projection_dim": 4, "prototypes": 3, "local_crops": 2}


def crops(samples: int = 5, local_crops: int = 2) -> list[Tensor]:
    parts = torch.randn(local_crops, samples, 1, 4, 4, generator=generator_for(4), dtype=torch.float64)
    return [*two_views(samples), *parts]


def sinkhorn(scores: Tensor, epsilon: float) -> Tensor:
    """The listing of the paper's appendix."""
    q = torch.exp(scores / epsilon).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(3):
        q /= q.sum(1, keepdim=True) * k
        q /= q.sum(0, keepdim=True) * b
    return (q * b).T


def naive(z: list[Tensor], prototypes: Tensor, past: list[Tensor], temperature: float, epsilon: float) -> Tensor:
    losses = []
    for i in range(2):
        scores = torch.cat([F.normalize(z[i], dim=1), past[i]]) @ prototypes.T
        code = sinkhorn(scores, epsilon)[: len(z[i])]
        for j, other in enumerate(z):
            if j != i:
                log_p = (F.normalize(other, dim=1) @ prototypes.T / temperature).log_softmax(1)
                losses.append(-(code * log_p).sum(1).mean())
    return torch.stack(losses).mean()


def embedded(swav: SwAV, views: list[Tensor]) -> list[Tensor]:
    return list(swav.projector(swav.encoder(torch.cat(views))).chunk(len(views)))


def test_the_loss_is_the_papers_swapped_prediction_over_all_crops() -> None:
    swav = built(SwAV, temperature=0.2, epsilon=0.1, **SMALL)
    swav.prototypes.normalize()
    z = embedded(swav, crops())
    expected = naive(z, swav.prototypes.weight, [z[0][:0], z[0][:0]], 0.2, 0.1)
    answer = swav.objective(*crops())
    assert answer["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    assert swav.tracked is not None
    torch.testing.assert_close(swav.tracked[1], z[1].detach(), rtol=1e-10, atol=1e-12)


def test_codes_get_no_gradient_and_prototypes_do() -> None:
    swav = built(SwAV, **SMALL)
    swav.objective(*crops())["loss"].backward()
    got = swav.prototypes.weight.grad
    z = [each.detach() for each in embedded(swav, crops())]
    codes = [sinkhorn(F.normalize(each, dim=1) @ swav.prototypes.weight.detach().T, 0.05) for each in z[:2]]
    weight = swav.prototypes.weight.detach().clone().requires_grad_()
    logs = [(F.normalize(each, dim=1) @ weight.T / 0.1).log_softmax(1) for each in z]
    pairs = [-(codes[i] * logs[j]).sum(1).mean() for i in range(2) for j in range(4) if i != j]
    torch.stack(pairs).mean().backward()
    torch.testing.assert_close(got, weight.grad)


def test_prototypes_are_brought_back_to_length_1_at_the_beginning_of_a_step() -> None:
    swav = built(SwAV, **SMALL)
    before = swav.objective(*crops())["loss"].item()
    with torch.no_grad():
        swav.prototypes.weight *= 3
    assert swav.objective(*crops())["loss"].item() == pytest.approx(before, rel=1e-10)
    torch.testing.assert_close(swav.prototypes.weight.norm(dim=1), torch.ones(3, dtype=torch.float64))


def with_queue(queue_from: float = 0.0) -> SwAV:
    swav = built(SwAV, queue=10, queue_from=queue_from, **SMALL)
    swav.prepare(TrainingContext(samples=50, batch_size=5, steps=100, steps_per_epoch=10))
    return swav


def test_the_queue_of_each_view_serves_once_it_is_filled() -> None:
    swav, plain = with_queue(), built(SwAV, **SMALL)
    swav.prototypes.normalize()
    past: list[list[Tensor]] = [[], []]
    for seed in (7, 8):
        steps = list(torch.randn(2, 5, 1, 4, 4, generator=generator_for(seed), dtype=torch.float64))
        for view, z in enumerate(embedded(swav, steps)):
            past[view].append(F.normalize(z, dim=1))
        assert swav.objective(*steps)["loss"].item() == pytest.approx(plain.objective(*steps)["loss"].item())
    z = embedded(swav, crops())
    expected = naive(z, swav.prototypes.weight, [torch.cat(each) for each in past], 0.1, 0.05)
    assert swav.objective(*crops())["loss"].item() == pytest.approx(expected.item(), rel=1e-10)
    assert plain.objective(*crops())["loss"].item() != pytest.approx(expected.item(), rel=1e-4)


def test_the_queue_waits_for_its_epoch() -> None:
    swav, plain = with_queue(queue_from=1.0), built(SwAV, **SMALL)
    for seed in range(4):
        views = torch.randn(2, 5, 1, 4, 4, generator=generator_for(seed), dtype=torch.float64)
        assert swav.objective(*views)["loss"].item() == pytest.approx(plain.objective(*views)["loss"].item())
    swav.queue_from = 0.0
    assert swav.objective(*crops())["loss"].item() != pytest.approx(plain.objective(*crops())["loss"].item())


def test_a_checkpoint_holds_the_queues() -> None:
    swav, other = with_queue(), with_queue()
    for seed in (7, 8):
        swav.objective(*torch.randn(2, 5, 1, 4, 4, generator=generator_for(seed), dtype=torch.float64))
    other.load_state_dict(swav.state_dict())
    assert torch.equal(swav.objective(*crops())["loss"], other.objective(*crops())["loss"])
    assert torch.equal(swav.queues[1].keys, other.queues[1].keys)


def test_prototypes_are_held_at_first() -> None:
    swav = built(SwAV, freeze=0.5, **SMALL)
    swav.prepare(TrainingContext(samples=50, batch_size=5, steps=100, steps_per_epoch=10))
    assert [parameter is swav.prototypes.weight for parameter in swav.frozen_parameters(4)] == [True]
    assert list(swav.frozen_parameters(5)) == []


def test_code_entropy_shows_a_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    swav = built(SwAV, **SMALL)
    assert swav.objective(*crops())["code_entropy"].item() > 0.9
    one = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    monkeypatch.setattr("likewise.methods.swav.sinkhorn", lambda scores, epsilon: one.expand(len(scores), 3))
    assert swav.objective(*crops())["code_entropy"].item() == 0


def test_chance_is_what_equal_scores_give() -> None:
    swav = built(SwAV, **SMALL)
    assert swav.chance(8) == {"loss": math.log(3)}
    with torch.no_grad():
        swav.prototypes.weight[:] = swav.prototypes.weight[0]
    assert swav.objective(*crops())["loss"].item() == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prototypes": 1}, "prototypes must be at least 2, got 1"),
        ({"local_crops": -1}, "local_crops must be at least 0, got -1"),
        ({"epsilon": 0.0}, "epsilon must be above 0, got 0.0"),
        ({"temperature": -1.0}, "temperature must be above 0, got -1.0"),
        ({"freeze": -1.0}, "freeze must be 0 or more, got -1.0"),
    ],
)
def test_impossible_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SwAV(Tiny(), **options)


def test_a_queue_is_a_multiple_of_the_batch() -> None:
    swav = SwAV(Tiny(), queue=12, **SMALL)
    with pytest.raises(UserError, match="queue must be a multiple of the batch, 5, got 12"):
        swav.prepare(TrainingContext(samples=50, batch_size=5, steps=100, steps_per_epoch=10))
