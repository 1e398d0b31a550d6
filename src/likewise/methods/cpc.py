"""CPC: the upper rows of an image's patches predict those further down."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import check_int, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import info_nce
from likewise.methods.base import Method
from likewise.modules.sequence_prediction import SequencePrediction
from likewise.modules.temperature import Temperature

SMALLEST_PATCH = 4  # px; enlarged more, tiny images would be learned at another scale than they are used at


def overlapping_patches(view: Float[Tensor, "n c h w"], grid: int) -> Float[Tensor, "n k c p p"]:
    """`grid` x `grid` square patches of every image, each half over the next, column by column: k = grid².

    From the largest square in the middle that they cover. Images whose patches would be below 4 px are enlarged first.
    """
    side = min(view.shape[2:])
    least = SMALLEST_PATCH // 2 * (grid + 1)
    if side < least:
        larger = [round(length * least / side) for length in view.shape[2:]]
        view, side = F.interpolate(view, larger, mode="bilinear", antialias=True), least
    stride = side // (grid + 1)
    top, left = ((length - stride * (grid + 1)) // 2 for length in view.shape[2:])
    windows = view[:, :, top:, left:].unfold(2, 2 * stride, stride).unfold(3, 2 * stride, stride)
    return windows[:, :, :grid, :grid].permute(0, 3, 2, 1, 4, 5).flatten(1, 2)


class CPC(Method):
    """Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, arXiv:1807.03748.

    Patches are encoded one by one. In each column a context runs from top to bottom and predicts the rows below; a
    prediction is to name its patch among those that are predicted at the same distance, in all places of all images.
    Similarities are cosines over a temperature, where the paper has plain products.

    Args:
        encoder: view -> `(n, encoder.dim)`, for patches: views of any size.
        grid: rows, and columns, of patches; each is half over the next: 64 px of 256 for 7.
        steps: how many rows below are predicted.
        skip: how many rows right below are not: the next one shares half its pixels.
        context_dim: length of the context.
        temperature: divides the cosine similarities: see `Temperature`.

    Raises:
        UserError: for a number out of its range, or a grid with too few rows.
    """

    family = "mutual information"
    paper = "1807.03748"
    when_to_use = "when what a sample is shows in how its parts follow each other: large images, sequences"
    min_batch_size = 2

    def __init__(
        self,
        encoder: nn.Module,
        *,
        grid: int = 7,
        steps: int = 5,
        skip: int = 1,
        context_dim: int = 1024,
        temperature: float | str = 0.1,
    ) -> None:
        super().__init__(encoder)
        check_int(grid=grid, steps=steps, context_dim=context_dim)
        check_int(0, skip=skip)
        require(grid > steps + skip, "grid", f"above steps + skip = {steps + skip}", grid, "there are too few rows")
        self.grid = grid
        self.sequence = SequencePrediction(self.dim, context_dim=context_dim, steps=steps, skip=skip)
        self.temperature = Temperature(temperature)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        return (overlapping_patches(self.views(batch.samples, generator), self.grid),)

    def objective(self, patches: Float[Tensor, "n k c p p"]) -> Tensor:
        columns = self.encode(patches.flatten(0, 1)).unflatten(0, (-1, self.grid))
        temperature = self.temperature(self.progress)
        losses = []
        for predicted, latents in self.sequence(columns):
            predicted, latents = gather(predicted), gather(latents)
            losses.append(info_nce(predicted.flatten(0, 1), latents.flatten(0, 1), temperature=temperature))
            middle = slice(self.grid // 2, None, self.grid), predicted.shape[1] // 2  # one pair of each image
            self.track(predicted[middle], latents[middle])
        return torch.stack(losses).mean()

    def chance(self, batch_size: int) -> dict[str, float]:
        nearest, steps = self.sequence.skip + 1, len(self.sequence.predict)
        rows = range(self.grid - nearest - steps + 1, self.grid - nearest + 1)
        return {"loss": sum(math.log(batch_size * self.grid * r) for r in rows) / steps}
