"""Sentence order: classify whether the halves of a text were swapped."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.text import language_encoder
from likewise.methods.base import Method
from likewise.modules.classification import classification_chance, classification_metrics
from likewise.runs.figures import Figure, FigureRow
from likewise.seeding import draw_rows
from likewise.views.token_tasks import halves


class SentenceOrder(Method):
    """Lan et al. 2019, ALBERT: A Lite BERT, section 3.1: sentence-order prediction, arXiv:1909.11942.

    A text is cut in the middle, and with probability 1/2 its halves are swapped; the encoder reads `[CLS] A [SEP] B
    [SEP]`. The loss is the cross-entropy of swapped or not. The paper combines this with masked tokens, on the [CLS]
    state; here it stands alone, on any pooling.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder.

    Raises:
        UserError: for an encoder that is not for text.
    """

    family = "predictive"
    modality = "text"
    paper = "1909.11942"
    compares_augmentations = False
    when_to_use = "texts of several sentences where coherence matters"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.max_tokens = language_encoder(encoder).max_tokens
        self.classifier = nn.Linear(self.dim, 2)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        swapped = draw_rows(lambda n, whole: torch.rand(n, generator=whole) < 0.5, len(batch.samples), generator)
        ids = self.views.clean(batch.samples)
        swapped = swapped.to(ids.device)
        return self.in_halves(ids, swapped, generator), swapped

    def in_halves(
        self, ids: Int[Tensor, "n t"], swapped: Bool[Tensor, " n"], generator: torch.Generator
    ) -> Int[Tensor, "n u"]:
        special = self.views.special  # type: ignore[attr-defined]
        return halves(ids, swapped, generator, pad=special.pad, sep=special.sep, max_tokens=self.max_tokens)

    def objective(self, view: Any, swapped: Tensor) -> dict[str, Tensor]:
        return classification_metrics(self.classifier(self.encode(view)), swapped.long())

    def chance(self, batch_size: int) -> dict[str, float]:
        return classification_chance(2)

    def figures(self, samples: Any, generator: torch.Generator) -> list[Figure]:
        views: Any = self.views
        ids = views.clean(samples)
        swapped = torch.rand(len(ids), generator=generator) < 0.5
        input_ids = self.in_halves(ids, swapped.to(ids.device), generator)
        predictions = self.classifier(self.encode(input_ids)).argmax(1).bool().cpu()
        labels = [
            f"{'swapped' if prediction else 'in order'} {'✓' if prediction == truth else '✗'}"
            for prediction, truth in zip(predictions.tolist(), swapped.tolist(), strict=True)
        ]
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        middle = (input_ids == views.special.sep).int().argmax(1, keepdim=True)
        ahead, behind = (
            views.decode(input_ids.where(side, views.special.pad)) for side in (place < middle, place > middle)
        )
        inputs = [f"{first} ‖ {second}" for first, second in zip(ahead, behind, strict=True)]
        rows = [
            FigureRow("text", texts=views.decode(ids)),
            FigureRow("input", texts=inputs),
            FigureRow("predicted", texts=labels),
        ]
        return [Figure("Predicted order", "Half of the texts have their halves swapped.", rows)]
