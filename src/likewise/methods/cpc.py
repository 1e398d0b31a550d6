"""CPC: predict the lower rows of an image's patches from the upper ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.checks import check_int, require
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import info_nce
from likewise.methods.base import Method
from likewise.modules.sequence_prediction import SequencePrediction
from likewise.modules.temperature import Temperature
from likewise.views.overlapping_patches import overlapping_patches


class CPC(Method):
    """Oord et al. 2018, Representation Learning with Contrastive Predictive Coding, arXiv:1807.03748.

    Each patch is encoded alone. In each column a GRU runs from top to bottom and predicts the rows below. The loss is
    the InfoNCE of predictions and latents: negatives are the latents at the same distance in all columns, rows and
    images. Similarities are cosines over T, where the paper has dot products. The authors' code is not public: what the
    paper leaves open (epochs, the GRU's place for images, how negatives are drawn) could not be checked.

    Args:
        encoder: patch of any size -> `(n, encoder.dim)`.
        grid: rows, and columns, of patches that overlap by half; 7 patches of 64 px in 256 px.
        steps: number of rows below that are predicted.
        skip: rows directly below that are not predicted; the next row shares half of its pixels.
        context_dim: width of the GRU.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).

    Raises:
        UserError: for a number out of its range, or a grid with too few rows.
    """

    family = "mutual information"
    paper = "1807.03748"
    compares_augmentations = False
    any_size = False  # smaller views are too small for their patches
    when_to_use = "when the order of the parts is informative: large images, sequences"
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
