"""Denoising autoencoder: rebuild what a view was before it was damaged."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods.autoencoder import Autoencoder
from likewise.runs.figures import Figure, FigureRow


class DenoisingAutoencoder(Autoencoder):
    """Bengio et al. 2013, Generalized Denoising Auto-Encoders as Generative Models, arXiv:1305.6663.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        masked: share of the pixels that become the mean colour, in [0, 1).
        noise: standard deviation of what is added to every pixel, in units of the normalised view.
        code_dim: see `Autoencoder`; the damage forbids the identity, so that no short code has to.

    Raises:
        UserError: when nothing is damaged, or a number is out of its range.
    """

    paper = "1305.6663"
    when_to_use = "an autoencoder whose embedding may be wide: damage, not a short code, makes it learn"

    def __init__(
        self, encoder: nn.Module, *, masked: float = 0.25, noise: float = 0.0, code_dim: int | None = None
    ) -> None:
        super().__init__(encoder, code_dim=code_dim)
        if not 0 <= masked < 1 or noise < 0 or masked == noise == 0:
            raise UserError(
                f"masked must be from 0 to below 1, noise 0 or more, one of them above 0, got {masked} and {noise}"
            )
        self.masked, self.noise = masked, noise

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        return self.damage(view, generator), view

    def damage(self, view: Float[Tensor, "n c s s"], generator: torch.Generator) -> Float[Tensor, "n c s s"]:
        kept = torch.rand(len(view), 1, *view.shape[2:], generator=generator) >= self.masked
        noise = self.noise * torch.randn(view.shape, generator=generator)
        return (view + noise.to(view.device)) * kept.to(view.device)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        damaged = self.damage(view, generator)
        shown = {"original": view, "damaged": damaged, "rebuilt": self.rebuild(damaged)}
        rows = [FigureRow(name, self.views.picture(pixels)) for name, pixels in shown.items()]
        return [Figure("Repaired", "Each image, what the encoder was given of it, and what was made of that.", rows)]
