"""Autoencoder: reconstruct a view from a short code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int, require
from likewise.data.loader import Batch
from likewise.methods.base import EARLY, Method, TrainingContext
from likewise.modules.image_decoder import ImageDecoder
from likewise.modules.reconstruction import TRIVIAL, explained_variance
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import generator_for


class Autoencoder(Method):
    """Bengio, Courville & Vincent 2012, Representation Learning: A Review, section 7, arXiv:1206.5538.

    The loss is the mean squared error of the normalized pixels. `explained` is the share of their variance, around the
    mean image of the batch, that is reconstructed.

    Args:
        encoder: view -> `(n, encoder.dim)`.
        code_dim: length of the code, a linear map of the embedding (30 in Hinton & Salakhutdinov 2006); None decodes
            the whole embedding.

    Raises:
        UserError: for an empty code; when the views are not square images.
    """

    family = "generative"
    modality = "image"
    paper = "1206.5538"
    compares_augmentations = False
    any_size = False  # the decoder has one
    when_to_use = "the simplest baseline: what compression alone teaches"

    def __init__(self, encoder: nn.Module, *, code_dim: int | None = 30) -> None:
        super().__init__(encoder)
        self.code_dim = self.dim if code_dim is None else code_dim
        check_int(code_dim=self.code_dim)
        self.code = nn.Identity() if code_dim is None else nn.Linear(self.dim, code_dim)

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        assert context.read is not None
        shape = tuple(self.views.clean(context.read(torch.arange(1))).shape[1:])
        is_square = len(shape) == 3 and shape[1] == shape[2]
        require(is_square, "views", "square images (channels, size, size)", shape)
        with torch.random.fork_rng(devices=[]):  # the same weights however often it is prepared
            torch.manual_seed(generator_for(context.seed, self.code_dim).initial_seed())
            self.decoder = ImageDecoder(self.code_dim, channels=shape[0], size=shape[1])

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        return view, view

    def objective(self, view: Tensor, target: Tensor) -> dict[str, Tensor]:
        rebuilt = self.reconstruct(view)
        return {"loss": F.mse_loss(rebuilt, target), "explained": explained_variance(rebuilt, target)}

    def reconstruct(self, view: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c s s"]:
        return self.decoder(self.code(self.encode(view))).float()

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"explained": 0.0}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        if self.progress < EARLY or figures.get("explained", 1.0) > TRIVIAL:
            return None
        return "every image is rebuilt as the mean image: try another --lr, a longer code or more --epochs"

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        rows = [
            FigureRow("original", self.views.picture(view)),
            FigureRow("rebuilt", self.views.picture(self.reconstruct(view))),
        ]
        return [
            Figure("Reconstructed", f"Each image, and its reconstruction from a code of {self.code_dim} numbers.", rows)
        ]
