from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from likewise.data.loader import Batch
from likewise.encoders import image_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.base import TrainingContext
from likewise.methods.vae import VAE, kl_from_prior, latent_kl
from likewise.seeding import generator_for
from likewise.views import ImageViews

IMAGES = torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
COURSE = TrainingContext(samples=16, batch_size=8, steps=10, steps_per_epoch=2, read=IMAGES.__getitem__)


def built(**options: Any) -> VAE:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh())
    encoder.dim = 12  # type: ignore[assignment]
    method = VAE(encoder, **{"latent_dim": 4, **options})
    method.views = ImageViews([], size=8, channels=1)
    method.prepare(COURSE)
    return method


def views_of(method: VAE, seed: int = 0) -> tuple[Tensor, ...]:
    return method.make_views(Batch(IMAGES[:8], torch.arange(8)), generator_for(seed))


def test_the_kl_is_that_of_torch_distributions() -> None:
    mean, log_variance = 2 * torch.randn(2, 32, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    posterior, prior = Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros_like(mean), torch.ones_like(mean))
    torch.testing.assert_close(latent_kl(mean, log_variance), kl_divergence(posterior, prior), rtol=1e-12, atol=1e-12)
    whole = kl_divergence(Independent(posterior, 1), Independent(prior, 1))
    torch.testing.assert_close(kl_from_prior(mean, log_variance), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(kl_from_prior(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_the_loss_is_the_negative_elbo_without_its_constant(beta: float) -> None:
    method = built(beta=beta).double()
    view, noise = (v.double() for v in views_of(method))
    h = method.encoder(view)
    mean, deviation = method.code(h), (method.log_variance(h) / 2).exp()
    pixels = Normal(method.decoder(mean + deviation * noise), 1.0)
    constant = 64 * 0.5 * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    likelihood = pixels.log_prob(view).sum((1, 2, 3)) + constant
    kl = kl_divergence(Normal(mean, deviation), Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    answer = method.objective(view, noise)
    assert answer["loss"].item() == pytest.approx((beta * kl - likelihood).mean().item(), rel=1e-10)
    assert answer["kl"].item() == pytest.approx(kl.mean().item(), rel=1e-10)
    assert answer["reconstruction"].item() == pytest.approx(-likelihood.mean().item(), rel=1e-10)


def test_the_gradient_reaches_mean_and_variance_through_the_draw() -> None:
    method = built(beta=0.0)
    method.objective(*views_of(method))["loss"].backward()
    assert method.code.weight.grad.abs().sum() > 0
    assert method.log_variance.weight.grad.abs().sum() > 0


def test_draws_are_a_function_of_the_generator_and_standard_normal() -> None:
    method = built(latent_dim=300)
    (_, noise), (_, again), (_, other) = views_of(method, 1), views_of(method, 1), views_of(method, 2)
    assert noise.shape == (8, 300)
    assert torch.equal(noise, again)
    assert not torch.equal(noise, other)
    assert noise.mean().item() == pytest.approx(0, abs=0.06)
    assert noise.std().item() == pytest.approx(1, abs=0.05)


def test_the_embedding_is_the_encoders() -> None:
    method = built()
    view, _ = views_of(method)
    assert torch.equal(method.embed(view), method.encoder(view))


def test_a_posterior_that_equals_the_prior_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(beta=8.0)
    assert method.chance(8) == {"kl": 0.0, "explained": 0.0}
    assert method.degenerate_solution({"kl": 0.0}) is None  # at the beginning it may
    monkeypatch.setattr(VAE, "progress", 0.5)
    assert method.degenerate_solution({"kl": 0.001, "explained": 0.0}) == (
        "the posterior equals the prior (kl 0.001 nats): codes say nothing; try --beta 2"
    )
    assert "mean image" in (method.degenerate_solution({"kl": 3.0, "explained": 0.0}) or "")
    assert method.degenerate_solution({"kl": 3.0, "explained": 0.5}) is None


def test_a_huge_beta_does_collapse_and_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    method = built(beta=1000.0)
    optimizer = torch.optim.Adam(method.parameters(), 0.01)
    for step in range(150):
        optimizer.zero_grad()
        answer = method.objective(*views_of(method, step))
        answer["loss"].backward()
        optimizer.step()
    monkeypatch.setattr(VAE, "progress", 0.5)
    assert "--beta 250" in (
        method.degenerate_solution({name: float(value.detach()) for name, value in answer.items()}) or ""
    )


def test_pictures_are_of_rebuilt_images_of_samples_and_of_traversals() -> None:
    method = built(latent_dim=9).eval()
    with torch.no_grad():
        rebuilt, sampled, traversed = method.figures(IMAGES[:3], generator_for(5))
        mean, log_variance = method.posterior(method.views.clean(IMAGES[:3]))
        assert torch.equal(torch.from_numpy(rebuilt.rows[1].pictures), method.views.picture(method.decoder(mean)))
        generator = generator_for(5)
        for row in sampled.rows:
            codes = torch.randn(8, 9, generator=generator)
            assert torch.equal(torch.from_numpy(row.pictures), method.views.picture(method.decoder(codes)))
        telling = latent_kl(mean, log_variance).mean(0)
        latents = [int(row.name.removeprefix("latent ")) for row in traversed.rows]
        assert sorted(latents, key=lambda n: -telling[n]) == latents
        assert len(latents) == 6
        assert telling[latents[-1]] >= telling[[n for n in range(9) if n not in latents]].max()
        code = mean[0].clone()
        code[latents[0]] = -3.0
        # Decoded alone, not in a row: the last bits may differ, and what lies between two bytes becomes either.
        alone = method.views.picture(method.decoder(code[None]))
        torch.testing.assert_close(torch.from_numpy(traversed.rows[0].pictures[:1]), alone, rtol=0, atol=1)
    assert traversed.rows[-1].texts == ["−3.0", "−2.1", "−1.3", "−0.4", "+0.4", "+1.3", "+2.1", "+3.0"]


def test_bad_options_are_named() -> None:
    encoder = image_encoder("resnet8", channels=1, size=8)
    with pytest.raises(UserError, match=r"beta must be 0 or more, got -1\.0"):
        build_method("vae", encoder, {"beta": -1})
    with pytest.raises(UserError, match="latent_dim must be at least 1, got 0"):
        build_method("vae", encoder, {"latent_dim": 0})
