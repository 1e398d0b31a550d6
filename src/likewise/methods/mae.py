"""Masked autoencoder: encode the visible patches, reconstruct the masked ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likewise.checks import check_int, require
from likewise.data.loader import Batch
from likewise.encoders.vit import encode_visible, from_patches, take, to_patches, vision_transformer
from likewise.methods.base import EARLY, Method
from likewise.modules.patch_decoder import PatchDecoder
from likewise.modules.reconstruction import TRIVIAL
from likewise.runs.figures import Figure, FigureRow
from likewise.views.pretext import random_orders


class MAE(Method):
    """He et al. 2021, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377.

    The encoder, a Vision Transformer, sees only the visible patches. The loss is the mean squared error on the masked
    patches, each normalized by its own mean and variance (patches of a single pixel by the image's). `explained` is 0
    where every patch is predicted as its mean.

    Args:
        encoder: view -> `(n, encoder.dim)`, a Vision Transformer of timm.
        mask_ratio: share of the patches that are masked, in (0, 1).
        decoder_dim: width of the decoder, a multiple of 32.
        decoder_depth: blocks of the decoder.

    Raises:
        UserError: for an encoder that is no Vision Transformer, or a number out of its range.
    """

    family = "generative"
    modality = "image"
    paper = "2111.06377"
    compares_augmentations = False
    any_size = False  # the decoder has one
    when_to_use = "Vision Transformers on many images: cheap steps, weak augmentations, best when fine-tuned"

    def __init__(
        self, encoder: nn.Module, *, mask_ratio: float = 0.75, decoder_dim: int = 512, decoder_depth: int = 8
    ) -> None:
        super().__init__(encoder)
        vit = vision_transformer(encoder)
        check_int(decoder_depth=decoder_depth)
        require(decoder_dim >= 32 and decoder_dim % 32 == 0, "decoder_dim", "a multiple of 32", decoder_dim)
        self.grid, self.patch = vit.patch_embed.grid_size, vit.patch_embed.patch_size
        self.patches = self.grid[0] * self.grid[1]
        self.visible = self.patches - round(self.patches * mask_ratio)
        both = f"such that some of the {self.patches} patches are masked and some visible"
        require(0 < self.visible < self.patches, "mask_ratio", both, mask_ratio)
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
        masked = shuffle[:, self.visible :]
        target = take((patches - mean) / deviation, masked)
        loss = (take(self.reconstruct(view, shuffle), masked) - target).square().mean()
        return {"loss": loss, "explained": 1 - loss.detach() / target.square().mean().clamp_min(1e-12)}

    def reconstruct(self, view: Float[Tensor, "n c h w"], shuffle: Int[Tensor, "n p"]) -> Float[Tensor, "n p d"]:
        """All patches, normalized, decoded from those that come first in `shuffle`."""
        return self.decoder(self.encode_visible(view, shuffle[:, : self.visible]), shuffle).to(view.dtype)

    def statistics(self, patches: Float[Tensor, "n p d"]) -> tuple[Tensor, Tensor]:
        """Mean and deviation for normalization: of each patch, or of the image where patches are one pixel."""
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
        masked = (shuffle.argsort(dim=1) >= self.visible)[..., None]
        patches_of = {
            "original": patches,
            "masked": patches.masked_fill(masked, 0.0),
            "rebuilt": torch.where(masked, self.reconstruct(view, shuffle) * deviation + mean, patches),
        }
        rows = [
            FigureRow(name, self.views.picture(from_patches(p, self.grid, *self.patch)))
            for name, p in patches_of.items()
        ]
        caption = (
            f"Of {self.patches} patches the encoder saw {self.visible}; the grey ones were reconstructed. "
            "Mean and contrast of a patch, which the objective leaves out, are the original's."
        )
        return [Figure("Masked and reconstructed", caption, rows)]
