"""Masked autoencoder: encode a quarter of the patches, rebuild the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.checks import check_whole
from likewise.data.loader import Batch
from likewise.encoders.vit import encode_visible, from_patches, take, to_patches, vision_transformer
from likewise.errors import UserError
from likewise.methods.autoencoder import TRIVIAL
from likewise.methods.base import EARLY, Method
from likewise.modules.decoders import PatchDecoder
from likewise.runs.figures import Figure, FigureRow
from likewise.views.pretext import random_orders


class MAE(Method):
    """He et al. 2021, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377.

    The encoder, a Vision Transformer, sees only the visible patches; the loss is the mean squared error on the hidden
    ones, each normalised by its own mean and variance (patches of a single pixel by the image's). `explained` is 0
    where every patch is predicted as its mean.

    Args:
        encoder: view -> `(n, encoder.dim)`, a Vision Transformer of timm.
        mask_ratio: share of the patches that are hidden, in (0, 1).
        decoder_dim, decoder_depth: width, a multiple of 32, and blocks of the decoder.

    Raises:
        UserError: for an encoder that is no Vision Transformer, or numbers out of their range.
    """

    family = "generative"
    modality = "image"
    paper = "2111.06377"
    when_to_use = "Vision Transformers on many images: cheap steps, weak augmentations, best when fine-tuned"

    def __init__(
        self, encoder: nn.Module, *, mask_ratio: float = 0.75, decoder_dim: int = 512, decoder_depth: int = 8
    ) -> None:
        super().__init__(encoder)
        vit = vision_transformer(encoder)
        check_whole(decoder_depth=decoder_depth)
        if decoder_dim < 32 or decoder_dim % 32:
            raise UserError(f"decoder_dim must be a multiple of 32, got {decoder_dim}")
        self.grid, self.patch = vit.patch_embed.grid_size, vit.patch_embed.patch_size
        self.patches = self.grid[0] * self.grid[1]
        self.visible = self.patches - round(self.patches * mask_ratio)
        if not 0 < self.visible < self.patches:
            raise UserError(
                f"mask_ratio must hide some of the {self.patches} patches and leave others, got {mask_ratio}"
            )
        self.decoder = PatchDecoder(
            vit.embed_dim,
            grid=self.grid,
            out=self.patch[0] * self.patch[1] * vit.patch_embed.proj.in_channels,
            width=decoder_dim,
            depth=decoder_depth,
            prefix=vit.num_prefix_tokens,
        )

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        view = self.views(batch.samples, generator)
        return view, random_orders(len(view), self.patches, generator).to(view.device)

    def objective(self, view: Tensor, shuffle: Tensor) -> dict[str, Tensor]:
        patches = to_patches(view, *self.patch)
        mean, deviation = self.statistics(patches)
        hidden = shuffle[:, self.visible :]
        target = take((patches - mean) / deviation, hidden)
        loss = (take(self.rebuild(view, shuffle), hidden) - target).square().mean()
        return {"loss": loss, "explained": 1 - loss.detach() / target.square().mean().clamp_min(1e-12)}

    def rebuild(self, view: Float[Tensor, "n c h w"], shuffle: Int[Tensor, "n p"]) -> Float[Tensor, "n p d"]:
        """All patches, normalised, from those that come first in `shuffle`."""
        return self.decoder(self.encode_visible(view, shuffle[:, : self.visible]), shuffle).to(view.dtype)

    def statistics(self, patches: Float[Tensor, "n p d"]) -> tuple[Tensor, Tensor]:
        """Mean and deviation that pixels are normalised by: each patch's, the image's where patches are one pixel."""
        over = (2,) if self.patch != (1, 1) else (1, 2)
        return patches.mean(over, keepdim=True), (patches.var(over, keepdim=True) + 1e-6).sqrt()

    def encode_visible(self, view: Float[Tensor, "n c h w"], ids: Int[Tensor, "n v"]) -> Float[Tensor, "n t d"]:
        vit = vision_transformer(self.encoder)

        def encode(some: Tensor) -> Tensor:
            return encode_visible(vit, view[some], ids[some]).flatten(1)

        rows = torch.arange(len(view), device=view.device)
        return self.encode(rows, encode).unflatten(1, (-1, vit.embed_dim))

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"explained": 0.0}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        if self.progress < EARLY or figures.get("explained", 1.0) > TRIVIAL:
            return None
        return "every patch is rebuilt as its mean: try another --lr, more --epochs or a smaller --mask-ratio"

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        view = self.views.clean(samples)
        shuffle = random_orders(len(view), self.patches, generator).to(view.device)
        patches = to_patches(view, *self.patch)
        mean, deviation = self.statistics(patches)
        hidden = (shuffle.argsort(dim=1) >= self.visible)[..., None]
        shown = {
            "original": patches,
            "masked": patches.masked_fill(hidden, 0.0),
            "rebuilt": torch.where(hidden, self.rebuild(view, shuffle) * deviation + mean, patches),
        }
        rows = [
            FigureRow(name, self.views.picture(from_patches(p, self.grid, *self.patch))) for name, p in shown.items()
        ]
        caption = (
            f"Of {self.patches} patches the encoder saw {self.visible}; the grey ones were rebuilt. Their mean and "
            "contrast, which the objective leaves out, are the original's."
        )
        return [Figure("Hidden and rebuilt", caption, rows)]
