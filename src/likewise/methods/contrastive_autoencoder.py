"""Contrastive autoencoder: contrast two augmented views of each image, and reconstruct both from their embeddings."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int, check_positive
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import nt_xent
from likewise.methods.autoencoder import Autoencoder
from likewise.methods.base import Method
from likewise.modules.heads import projector
from likewise.modules.reconstruction import explained_variance
from likewise.modules.temperature import Temperature


class ContrastiveAutoencoder(Autoencoder):
    """SimCLR (arXiv:2002.05709) and an autoencoder (arXiv:1206.5538) on one encoder.

    The loss is NT-Xent of the projections of two views, plus `reconstruction` times the mean squared error of the
    normalized pixels of both views, each rebuilt from a code of its own embedding. Contrast alone learns to ignore what
    differs between views, such as brightness and place; the reconstruction keeps it in the embedding. `explained` is
    the share of the pixels' variance that is reconstructed.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        projection_dim: length of the projections.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        code_dim: length of the code, a linear map of the embedding.
        reconstruction: weight of the squared error, above 0.

    Raises:
        UserError: for a number out of its range; when the views are not square images.
    """

    family = "contrastive"
    paper = "2002.05709"
    compares_augmentations = True
    when_to_use = "small images of one thing in its usual place, such as clothes"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        projection_dim: int = 128,
        temperature: float | str = 0.5,
        code_dim: int = 64,
        reconstruction: float = 3.0,
    ) -> None:
        super().__init__(encoder, code_dim=code_dim)
        check_int(projection_dim=projection_dim)
        check_positive(reconstruction=reconstruction)
        self.projector = projector(self.dim, projection_dim)
        self.temperature = Temperature(temperature)
        self.weight = reconstruction

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return Method.make_views(self, batch, generator)

    def objective(self, view: Tensor, target: Tensor) -> dict[str, Tensor]:
        both = torch.cat([view, target])
        embeddings = self.encode(both)
        z1, z2 = map(gather, self.projector(embeddings).chunk(2))
        self.track(z1, z2)
        contrast = nt_xent(z1, z2, temperature=self.temperature(self.progress))
        rebuilt = self.decoder(self.code(embeddings)).float()
        return {
            "loss": contrast + self.weight * F.mse_loss(rebuilt, both),
            "contrast": contrast,
            "explained": explained_variance(rebuilt, both),
        }

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def chance(self, batch_size: int) -> dict[str, float]:
        return super().chance(batch_size) | {"contrast": math.log(2 * batch_size - 1)}
