"""RotNet: classify by how much an image is rotated."""

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

    The loss is the cross-entropy over 0°, 90°, 180° and 270°. All four rotations of an image are in the batch, which
    the paper found better than a random one.

    Args:
        encoder: view -> `(n, encoder.dim)`.
    """

    family = "predictive"
    modality = "image"
    paper = "1803.07728"
    compares_augmentations = False
    when_to_use = "images with an up and a down; no pairs, any batch size"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.classifier = nn.Linear(self.dim, 4)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        # Weak views: a small, blurred crop has no up, and strong rotations would make the labels wrong. The authors'
        # code crops 8 to 100 % of an image, which weak views do not.
        return (rotations(self.views.weak(batch.samples, generator)),)

    def objective(self, rotated: Any) -> dict[str, Tensor]:
        quarters = torch.arange(4, device=rotated.device).repeat_interleave(len(rotated) // 4)
        return classification_metrics(self.classifier(self.encode(rotated)), quarters)

    def chance(self, batch_size: int) -> dict[str, float]:
        return classification_chance(4)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        if not hasattr(self.views, "picture"):
            return []
        rotated = rotations(self.views.clean(samples))
        predictions = self.classifier(self.encode(rotated)).argmax(1).chunk(4)
        rows = [
            FigureRow(
                f"rotated by {90 * quarters}°",
                self.views.picture(view),
                [f"{90 * prediction}° {'✓' if prediction == quarters else '✗'}" for prediction in predicted.tolist()],
            )
            for quarters, (view, predicted) in enumerate(zip(rotated.chunk(4), predictions, strict=True))
        ]
        caption = "Each image, rotated counter-clockwise by four angles; below each, the predicted angle."
        return [Figure("Predicted rotations", caption, rows)]
