"""Variational autoencoder: a code that is a distribution, close to a prior that can be sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, check_non_negative
from likewise.data.loader import Batch
from likewise.losses.variational import kl_from_prior, latent_kl
from likewise.methods.autoencoder import Autoencoder
from likewise.methods.base import EARLY
from likewise.modules.reconstruction import explained_variance
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import draw_rows

COLLAPSED = 0.1  # nats; a code that distinguishes two equally likely images carries 0.69
SAMPLED = 2  # rows of samples from the prior
TRAVERSED = 6  # latents that are shown
REACH = 3.0  # standard deviations of the prior to both sides


class VAE(Autoencoder):
    """Kingma & Welling 2013, Auto-Encoding Variational Bayes, arXiv:1312.6114.

    The posterior is Gaussian with diagonal covariance, its mean and log-variance linear in the embedding; the prior is
    N(0, I); the normalized pixels are Gaussian with variance 1 around the decoder's output. The loss is the negative
    ELBO in nats an image, without its constant: reconstruction + `beta` KL.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        latent_dim: length of the code.
        beta: weight of the KL divergence, 0 or more: 1 is the ELBO; more gives simpler codes (beta-VAE, Higgins et al.
            2017), less sharper images.

    Raises:
        UserError: for an empty code, or a negative `beta`.
    """

    paper = "1312.6114"
    when_to_use = "when new samples and a smooth latent space are wanted beside the embedding"

    def __init__(self, encoder: nn.Module, *, latent_dim: int = 20, beta: float = 1.0) -> None:
        check_int(latent_dim=latent_dim)
        super().__init__(encoder, code_dim=latent_dim)
        check_non_negative(beta=beta)
        self.beta = beta
        self.log_variance = nn.Linear(self.dim, latent_dim)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        noise = draw_rows(lambda n, whole: torch.randn(n, self.code_dim, generator=whole), len(view), generator)
        return view, noise.to(view.device)

    def objective(self, view: Tensor, noise: Tensor) -> dict[str, Tensor]:
        mean, log_variance = self.posterior(view)
        rebuilt = self.decoder(mean + noise * (log_variance / 2).exp()).to(view.dtype)
        reconstruction = (rebuilt - view).square().sum() / (2 * len(view))
        kl = kl_from_prior(mean, log_variance).mean()
        loss = reconstruction + self.beta * kl
        return {
            "loss": loss,
            "reconstruction": reconstruction,
            "kl": kl,
            "explained": explained_variance(rebuilt, view),
        }

    def posterior(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes, `(n, latent_dim)` each."""
        embedding = self.encode(view)
        return self.code(embedding).to(view.dtype), self.log_variance(embedding).to(view.dtype)

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"kl": 0.0, "explained": 0.0}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        if self.progress < EARLY or figures.get("kl", 1.0) > COLLAPSED:
            return super().degenerate_solution(figures)
        kl = figures["kl"]
        message = f"the posterior equals the prior (kl {kl:.2g} nats): codes carry no information"
        return f"{message}; try --beta {self.beta / 4:g}"

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        figures = super().figures(samples, generator)
        return [*figures, self._sampled(generator), self._traversals(samples)] if figures else []

    def _sampled(self, generator: torch.Generator) -> Figure:
        rows = [self._row("", torch.randn(8, self.code_dim, generator=generator)) for _ in range(SAMPLED)]
        return Figure("Samples from the prior", "Codes drawn from N(0, I), decoded.", rows)

    def _traversals(self, samples: Any) -> Figure:
        """The code of the first sample with one latent varied, for the latents with the largest KL."""
        mean, log_variance = self.posterior(self.views.clean(samples))
        informative = latent_kl(mean, log_variance).mean(0).argsort(descending=True)[:TRAVERSED]
        values = torch.linspace(-REACH, REACH, 8)
        rows = []
        for latent in informative.tolist():
            codes = mean[:1].repeat(len(values), 1)
            codes[:, latent] = values.to(codes.device)
            rows.append(self._row(f"latent {latent}", codes))
        moved = [f"{value:+.1f}".replace("-", "−") for value in values.tolist()]
        rows[-1] = FigureRow(rows[-1].name, rows[-1].pictures, moved)
        caption = "The first image's code with one latent moved from end to end of the prior; the most telling latents."
        return Figure("Latent traversals", caption, rows)

    def _row(self, name: str, codes: Float[Tensor, "n d"]) -> FigureRow:
        return FigureRow(name, self.views.picture(self.decoder(codes.to(self.device))))  # type: ignore[attr-defined]
