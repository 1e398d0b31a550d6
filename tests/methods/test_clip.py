from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pairs import JOINT, all_alike, built, clip_formula, pair_encoder, samples
from tiny import Tiny
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.pair import PairEncoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods import pair_base as pair_module
from likewise.methods import slip as slip_module
from likewise.methods.base import Method
from likewise.methods.clip import CLIP
from likewise.methods.siglip import SigLIP
from likewise.methods.slip import SLIP
from likewise.modules.matching import matching_accuracy
from likewise.seeding import generator_for

METHODS: list[type[Method]] = [CLIP, SigLIP, SLIP]


def halves_of(method: Any, views: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    towers = method.encoder.towers
    return towers[0](views[0]), towers[1](views[1])


def batch(n: int = 6) -> Batch:
    return Batch(samples(n), torch.arange(n))


@pytest.mark.parametrize("temperature", ["learned", 0.3])
def test_the_objective_is_the_papers(temperature: float | str) -> None:
    clip = built(CLIP, temperature=temperature)
    views = samples().parts
    expected = clip_formula(*halves_of(clip, views), 0.07 if temperature == "learned" else 0.3)
    answer = clip.objective(*views)
    assert answer["loss"].item() == pytest.approx(expected.item(), rel=1e-6)  # the parameter's log is float32 at first
    assert answer["temperature"].item() == pytest.approx(0.07 if temperature == "learned" else 0.3)


def test_the_temperature_is_learned_from_its_own_gradient() -> None:
    clip, views = built(CLIP), samples().parts
    log = clip.temperature.log.detach().clone().requires_grad_()
    clip_formula(*(z.detach() for z in halves_of(clip, views)), log.exp()).backward()
    clip.objective(*views)["loss"].backward()
    assert abs(log.grad.item()) > 1e-3
    assert clip.temperature.log.grad.item() == pytest.approx(log.grad.item(), rel=1e-6)
    assert built(CLIP).temperature.log.exp().item() == pytest.approx(0.07)


def test_the_scale_is_clipped_at_100_and_can_fall_again() -> None:
    clip, views = built(CLIP), samples().parts
    nn.init.constant_(clip.temperature.log, math.log(0.002))
    answer = clip.objective(*views)
    answer["loss"].backward()
    assert answer["temperature"].item() == pytest.approx(0.01)
    assert answer["loss"].item() == pytest.approx(clip_formula(*halves_of(clip, views), 0.01).item(), rel=1e-9)
    assert clip.temperature.log.item() == pytest.approx(math.log(0.01))
    assert clip.temperature.log.grad.item() < -1e-3  # so few are found that a lower scale is better
    with torch.no_grad():
        clip.temperature.log -= 0.1 * clip.temperature.log.grad
    assert clip.objective(*views)["temperature"].item() > 0.0101


@pytest.mark.parametrize("cls", METHODS)
def test_each_half_is_viewed_by_its_own_views(cls: type[Method]) -> None:
    method, given = built(cls), batch()
    views = method.make_views(given, generator_for(3))
    assert len(views) == (4 if cls is SLIP else 2)
    assert [view.shape for view in views[:2]] == [part.shape for part in given.samples.parts]
    for view, part in zip(views, given.samples.parts, strict=False):
        assert 0 < (view - part).abs().mean() < 0.2
    again, other = (method.make_views(given, generator_for(seed)) for seed in (3, 4))
    assert all(torch.equal(a, b) for a, b in zip(views, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(views, other, strict=True))


@pytest.mark.parametrize("cls", METHODS)
def test_matched_are_the_embeddings_of_the_towers(cls: type[Method]) -> None:
    method = built(cls)
    z1, z2 = method.embed_pairs(samples(), generator_for(5))
    views = method.views(samples(), generator_for(5)).parts
    for z, wanted in zip((z1, z2), halves_of(method, views), strict=True):
        assert z.shape == (6, JOINT)
        torch.testing.assert_close(z, wanted)


@pytest.mark.parametrize("cls", METHODS)
def test_chance_is_what_equal_embeddings_give(cls: type[Method]) -> None:
    method = built(cls)
    all_alike(method)
    if cls is SigLIP:  # the best that can be said of halves that are all alike
        nn.init.constant_(method.bias, -10 - math.log(5))
    if cls is SLIP:
        last = method.projector[-1]
        nn.init.zeros_(last.weight)
        nn.init.ones_(last.bias)
    answer, chance = method.objective(*method.make_views(batch(), generator_for(0))), method.chance(6)
    assert set(chance) <= set(answer)
    for name, value in chance.items():
        assert answer[name].item() == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("cls", METHODS)
def test_micro_batches_have_the_gradients_of_the_batch(cls: type[Method]) -> None:
    gradients = []
    for micro_batch_size in (None, 2):
        method = built(cls)
        method.training_context = method.training_context._replace(micro_batch_size=micro_batch_size)
        views = method.make_views(batch(), generator_for(0))
        encoded: set[int] = set()
        for tower in method.encoder.towers:
            tower.encoder.register_forward_pre_hook(
                lambda _, arguments, encoded=encoded: encoded.add(len(arguments[0]))
            )
        method.objective(*views)["loss"].backward()
        assert (encoded == {2}) == (micro_batch_size == 2)
        gradients.append({name: p.grad for name, p in method.named_parameters()})
    for name, whole in gradients[0].items():
        assert whole is not None, name
        torch.testing.assert_close(gradients[1][name], whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", METHODS)
def test_the_batch_is_that_of_all_processes(cls: type[Method], monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(cls)
    views = method.make_views(batch(), generator_for(0))
    alone = method.objective(*views)
    twice = method.objective(*(torch.cat([view, view]) for view in views))
    for module in (pair_module, slip_module):
        monkeypatch.setattr(module, "gather", lambda rows: torch.cat([rows, rows]))
    joined = method.objective(*views)
    assert joined["loss"].item() == pytest.approx(twice["loss"].item(), rel=1e-9)
    assert abs(joined["loss"].item() - alone["loss"].item()) > 1e-3
    assert [len(z) for z in method.tracked] == [12, 12]


def test_embeddings_are_shown_without_their_gradient() -> None:
    clip, views = built(CLIP), samples().parts
    clip.objective(*views)
    for z, wanted in zip(clip.tracked, halves_of(clip, views), strict=True):
        assert not z.requires_grad
        torch.testing.assert_close(z, wanted.detach())


@pytest.mark.parametrize(("n", "noise"), [(5, 2.0), (600, 0.7)])
def test_accuracy_counts_both_ways(n: int, noise: float) -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(n, 8, generator=generator)
    other = one + noise * torch.randn(n, 8, generator=generator)
    a, b = nn.functional.normalize(one), nn.functional.normalize(other)
    right = sum(int(max(range(n), key=(a[i] @ b.T).tolist().__getitem__) == i) for i in range(n))
    right += sum(int(max(range(n), key=(b[i] @ a.T).tolist().__getitem__) == i) for i in range(n))
    assert 0 < right < 2 * n
    assert matching_accuracy(one, other).item() == pytest.approx(right / (2 * n))
    assert matching_accuracy(one, 3 * one) == 1
    assert matching_accuracy(one, one.roll(1, 0)) == 0
    assert matching_accuracy(torch.ones(n, 4), torch.ones(n, 4)).item() == pytest.approx(
        1 / n
    )  # halves: no sum is rounded


@pytest.mark.parametrize("cls", METHODS)
def test_learning_brings_the_halves_together(cls: type[Method]) -> None:
    method = built(cls)
    given = Batch(samples(24), torch.arange(24))
    optimizer = torch.optim.Adam(method.parameters(), lr=0.03)
    accuracies, losses = [], []
    for step in range(60):
        answer = method.objective(*method.make_views(given, generator_for(step)))
        optimizer.zero_grad()
        answer["loss"].backward()
        optimizer.step()
        accuracies.append(answer["accuracy"].item())
        losses.append(answer["loss"].item())
    assert losses[-1] < 0.8 * losses[0]
    assert accuracies[0] < 0.2
    assert accuracies[-1] > 0.4


@pytest.mark.parametrize("name", ["clip", "siglip", "slip"])
def test_other_encoders_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="encoder must be one with two towers, got Tiny: give data of two"):
        build_method(name, Tiny(), {})
    towers = pair_encoder().towers
    three = PairEncoder([tower.encoder for tower in (*towers, towers[1])], JOINT, ("image", "text", "text"))
    with pytest.raises(UserError, match="encoder must be one with two towers, got 3: choose two columns"):
        build_method(name, three, {})


def test_impossible_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"temperature must be a number above 0, .*, got 'cold'"):
        build_method("clip", pair_encoder(), {"temperature": "cold"})
    with pytest.raises(UserError, match=r"clip has no option 'temprature', did you mean 'temperature'\?"):
        build_method("clip", pair_encoder(), {"temprature": 0.1})
