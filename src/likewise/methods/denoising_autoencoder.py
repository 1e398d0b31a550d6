"""Denoising autoencoder: reconstruct a view from a corrupted copy."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_interval, check_non_negative, require
from likewise.data.loader import Batch
from likewise.methods.autoencoder import Autoencoder
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import draw_rows


class DenoisingAutoencoder(Autoencoder):
    """Bengio et al. 2013, Generalized Denoising Auto-Encoders as Generative Models, arXiv:1305.6663.

    The loss is the mean squared error between the reconstruction of the corrupted view and the view.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        masked: share of the pixels that are set to the mean colour, in [0, 1).
        noise: standard deviation of the Gaussian noise on every pixel, in units of the normalized view, 0 or more.
        code_dim: see `Autoencoder`; the corruption prevents the identity, so that the code need not be short.

    Raises:
        UserError: when nothing is corrupted, or a number is out of its range.
    """

    paper = "1305.6663"
    when_to_use = "an autoencoder with a wide embedding: corruption instead of a short code"

    def __init__(
        self, encoder: nn.Module, *, masked: float = 0.25, noise: float = 0.0, code_dim: int | None = None
    ) -> None:
        super().__init__(encoder, code_dim=code_dim)
        check_interval(0, 1, closed="left", masked=masked)
        check_non_negative(noise=noise)
        require(masked + noise > 0, "masked + noise", "above 0", masked + noise, "with both 0 nothing is corrupted")
        self.masked, self.noise = masked, noise

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        return self.corrupt(view, generator), view

    def corrupt(self, view: Float[Tensor, "n c s s"], generator: torch.Generator) -> Float[Tensor, "n c s s"]:
        n, _, *shape = view.shape
        kept = draw_rows(lambda rows, whole: torch.rand(rows, 1, *shape, generator=whole), n, generator) >= self.masked
        noise = draw_rows(lambda rows, whole: torch.randn(rows, *view.shape[1:], generator=whole), n, generator)
        return (view + (self.noise * noise).to(view.device)) * kept.to(view.device)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        corrupted = self.corrupt(view, generator)
        rows_of = {"original": view, "corrupted": corrupted, "rebuilt": self.reconstruct(corrupted)}
        rows = [FigureRow(name, self.views.picture(pixels)) for name, pixels in rows_of.items()]
        return [Figure("Reconstructed", "Each image, its corrupted copy, and the reconstruction.", rows)]
