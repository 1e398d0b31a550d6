from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.losses import jsd
from likewise.methods.base import TrainingContext
from likewise.methods.deep_infomax import DeepInfoMax
from likewise.modules.discriminator import Discriminator
from likewise.seeding import generator_for

N, SIZE, SUMMARY = 5, 6, 3


class Encoder(nn.Module):
    """One convolution; the embedding is twice as long as the features."""

    dim, features_dim = 8, 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3, stride=2)

    def with_features(self, view: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.tanh(self.layer(view)).flatten(2).transpose(1, 2)
        return torch.cat([features.mean(1), features.amax(1)], 1), features

    def forward(self, view: Tensor) -> Tensor:
        return self.with_features(view)[0]


class Views:
    def __call__(self, batch: Any, generator: torch.Generator) -> Any:
        return batch + torch.rand(batch.shape, generator=generator)


def built(**options: Any) -> DeepInfoMax:
    """In evaluation mode, so that no row meets another in a BatchNorm; the weights are the same at every call."""
    torch.manual_seed(0)
    return DeepInfoMax(Encoder(), **{"summary_dim": SUMMARY, "score_dim": 7} | options).double().eval()


def views(seed: int = 0, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Noise and one view."""
    generator = torch.Generator().manual_seed(seed)
    view = torch.randn(N, 1, size, size, generator=generator, dtype=torch.float64)
    return torch.rand(N, 1, SUMMARY, generator=generator, dtype=torch.float64), view


def scores(method: DeepInfoMax, term: str, view: Tensor) -> tuple[Tensor, Tensor]:
    """`[i, j, p]`: of the summary of i with place p of j, and the summaries."""
    embedding, places = method.encoder.with_features(view)
    y = method.summary(embedding)
    parts, wholes = method.critics[term](places, y)
    if term == "global":
        parts = parts.mean(1, keepdim=True)
    return torch.stack([torch.stack([parts[j] @ wholes[i] for j in range(N)]) for i in range(N)]), y


@pytest.mark.parametrize("estimator", ["jsd", "infonce"])
def test_the_objective_is_the_papers_equation(estimator: str) -> None:
    method = built(alpha=0.5, beta=2.0, gamma=0.1, estimator=estimator)
    noise, view = views()
    terms = {}
    for term in ("global", "local"):
        s, y = scores(method, term, view)
        own = torch.eye(N, dtype=torch.bool)
        if estimator == "jsd":
            terms[term] = torch.log(1 + torch.exp(-s[own])).mean() + torch.log(1 + torch.exp(s[~own])).mean()
        else:
            others = torch.stack([s[i, ~own[i]].exp().sum() for i in range(N)])
            terms[term] = -(s[own].exp() / (s[own].exp() + others[:, None])).log().mean()
    taken = torch.sigmoid(method.discriminator.logit(torch.sigmoid(y)))
    real = torch.sigmoid(method.discriminator.logit(noise.flatten(0, 1)))
    terms["prior"] = -taken.log().mean()
    terms["discriminator"] = -real.log().mean() - (1 - taken).log().mean()
    got = method.objective(noise, view)
    for name, value in terms.items():
        torch.testing.assert_close(got[name], value, rtol=1e-10, atol=0)
    total = 0.5 * terms["global"] + 2 * terms["local"] + 0.1 * terms["prior"] + terms["discriminator"]
    torch.testing.assert_close(got["loss"], total, rtol=1e-10, atol=0)


def test_each_side_of_the_game_learns_from_its_own_loss() -> None:
    method = built()
    answer = method.objective(*views())
    judge, summary = list(method.discriminator.parameters()), method.summary.weight
    assert all(
        gradient is None
        for gradient in torch.autograd.grad(answer["prior"], judge, retain_graph=True, allow_unused=True)
    )
    assert torch.autograd.grad(answer["prior"], summary, retain_graph=True)[0].any()
    assert torch.autograd.grad(answer["discriminator"], summary, retain_graph=True, allow_unused=True) == (None,)
    assert all(gradient.any() for gradient in torch.autograd.grad(answer["discriminator"], judge))


def test_the_game_ends_with_embeddings_that_look_like_noise() -> None:
    torch.manual_seed(0)
    judge = Discriminator(1)
    embeddings = nn.Parameter(0.1 * torch.randn(128, 1) + 2)
    optimizer = torch.optim.Adam([{"params": judge.parameters(), "lr": 1e-3}, {"params": [embeddings], "lr": 0.03}])
    for step in range(300):
        passing, telling = judge(embeddings, torch.rand(128, 1, generator=generator_for(step)))
        optimizer.zero_grad()
        (128 * passing / 10 + telling).backward()
        optimizer.step()
    shown = torch.sigmoid(embeddings)
    assert shown.mean().item() == pytest.approx(0.5, abs=0.1)
    assert shown.std().item() == pytest.approx(12**-0.5, abs=0.1)


def test_terms_without_weight_have_no_network() -> None:
    assert set(built(gamma=0.0).objective(*views())) == {"loss", "local"}
    assert set(built(alpha=1.0, beta=0.0, gamma=1.0).objective(*views())) == {
        "loss",
        "global",
        "prior",
        "discriminator",
    }
    assert not [name for name, _ in built(gamma=0.0).named_parameters() if "global" in name or "discriminator" in name]


def test_of_two_views_each_summary_meets_the_places_of_the_other() -> None:
    method = built(two_views=True, gamma=0.0)
    first, second = (views(seed)[1] for seed in (0, 1))
    wanted = []
    for whole, part in [(first, second), (second, first)]:
        y = method.summary(method.encoder(whole))
        places = method.encoder.with_features(part)[1]
        parts, wholes = method.critics["local"](places, y)
        wanted.append(jsd(parts, wholes))
    torch.testing.assert_close(method.objective(views()[0], first, second)["local"], (wanted[0] + wanted[1]) / 2)
    method.views = Views()
    noise, *made = method.make_views(Batch(torch.zeros(N, 1, SIZE, SIZE), torch.arange(N)), generator_for(0))
    assert noise.shape == (N, 2, SUMMARY)
    assert not torch.equal(*made)


def test_maps_may_have_any_size() -> None:
    method = built(alpha=1.0)
    for size in (5, 9):
        assert method.objective(*views(size=size))["loss"].isfinite()


def test_micro_batches_have_the_gradients_of_the_whole_batch() -> None:
    gradients = []
    for micro in (None, 1):
        method = built(alpha=1.0)
        method.prepare(TrainingContext(samples=N, batch_size=N, steps=1, steps_per_epoch=1, micro_batch_size=micro))
        method.objective(*views())["loss"].backward()
        gradients.append([p.grad for p in method.parameters()])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


def test_the_noise_is_uniform_and_a_function_of_the_generator() -> None:
    method = DeepInfoMax(Encoder(), summary_dim=50)
    method.views = Views()
    batch = Batch(torch.zeros(40, 1, SIZE, SIZE), torch.arange(40))
    (noise, view), (again, _), (other, _) = (method.make_views(batch, generator_for(0, step)) for step in (1, 1, 2))
    assert torch.equal(noise, again)
    assert not torch.equal(noise, other)
    assert noise.shape == (len(view), 1, 50)
    assert noise.mean().item() == pytest.approx(0.5, abs=0.03)
    assert noise.min() >= 0
    assert noise.max() < 1


@pytest.mark.parametrize("options", [{}, {"alpha": 1.0}, {"gamma": 0.0}])
def test_chance_is_what_networks_that_say_nothing_give(options: dict[str, float]) -> None:
    method = built(**options)
    for parameter in [*method.critics.parameters(), *(method.discriminator or nn.Identity()).parameters()]:
        nn.init.zeros_(parameter)
    answer = method.objective(*views())
    chance = method.chance(N)
    assert chance["local"] == 2 * math.log(2)
    assert {name: value.item() for name, value in answer.items()} == pytest.approx(chance)
    assert built(estimator="infonce").chance(N) == {}


def test_chance_of_infonce_counts_the_places() -> None:
    method = DeepInfoMax(image_encoder("resnet8", channels=1, size=8), alpha=1.0, gamma=0.0, estimator="infonce").eval()
    for parameter in method.critics.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        answer = method.objective(torch.rand(6, 1, 64), torch.randn(6, 1, 8, 8))
    chance = method.chance(6)
    assert chance["local"] == math.log(1 + 5 * 4)
    assert {name: value.item() for name, value in answer.items()} == pytest.approx(chance)


def test_the_encoders_of_the_house_fit() -> None:
    method = DeepInfoMax(image_encoder("resnet8", channels=1, size=8), score_dim=16)
    answer = method.objective(torch.rand(4, 1, 64), torch.randn(4, 1, 8, 8))
    answer["loss"].backward()
    assert all(p.grad is not None for p in method.parameters())
    assert method.tracked is not None
    assert [z.shape for z in method.tracked] == [(4, 16), (4, 16)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0, "beta": 0.0}, r"alpha \+ beta must be above 0, got 0\.0"),
        ({"gamma": -1.0}, r"gamma must be 0 or more, got -1\.0"),
        ({"estimator": "infonse"}, r"estimator must be jsd or infonce, got 'infonse', did you mean 'infonce'\?"),
        ({"summary_dim": 0}, "summary_dim must be at least 1, got 0"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DeepInfoMax(Encoder(), **options)


def test_an_encoder_without_a_map_is_told_what_is_missing() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    encoder.dim = 2  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"encoder must be one with features of places, got Sequential: give it"):
        DeepInfoMax(encoder)
