"""RotNet: to say how far a picture is turned, one must know what it shows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.methods.base import Method
from likewise.modules.classification import classification_chance, classification_metrics
from likewise.runs.figures import Figure, FigureRow
from likewise.views.pretext import rotations


class RotNet(Method):
    """Gidaris et al. 2018, Unsupervised Representation Learning by Predicting Image Rotations, arXiv:1803.07728.

    All four rotations of an image are in the batch, which the paper found better than one at random.

    Args:
        encoder: view -> `(n, encoder.dim)`.
    """

    family = "predictive"
    modality = "image"
    paper = "1803.07728"
    when_to_use = "pictures with an up and a down; no pairs, no batch size to think of"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.classifier = nn.Linear(self.dim, 4)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        # Light views, as the paper's crops and mirrorings: a tenth of a photograph, blurred, has no up any more, and
        # views that turn far themselves would make the answer wrong.
        return (rotations(self.views.weak(batch.samples, generator)),)

    def objective(self, turned: Any) -> dict[str, Tensor]:
        quarters = torch.arange(4, device=turned.device).repeat_interleave(len(turned) // 4)
        return classification_metrics(self.classifier(self.encode(turned)), quarters)

    def chance(self, batch_size: int) -> dict[str, float]:
        return classification_chance(4)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        turned = rotations(self.views.clean(samples))
        answers = self.classifier(self.encode(turned)).argmax(1).chunk(4)
        rows = [
            FigureRow(
                f"turned by {90 * quarters}°",
                self.views.picture(view),
                [f"{90 * answer}° {'✓' if answer == quarters else '✗'}" for answer in given.tolist()],
            )
            for quarters, (view, given) in enumerate(zip(turned.chunk(4), answers, strict=True))
        ]
        caption = "Each picture is turned counter-clockwise by four angles; below each, the angle that was named."
        return [Figure("How far is it turned?", caption, rows)]
