"""Sentence order: to say which half of a text comes first, one must follow what it says."""

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
from likewise.views.word_tasks import halves


class SentenceOrder(Method):
    """Lan et al. 2019, ALBERT: A Lite BERT, section 3.1: sentence-order prediction, arXiv:1909.11942.

    A text is cut in its middle, and half of the time the halves change places: the encoder reads `[CLS] A [SEP] B
    [SEP]`. The paper asks this beside masked words and of the [CLS] state; here it stands alone, for any pooling.

    Args:
        encoder: ids -> `(n, encoder.dim)`, a text encoder.

    Raises:
        UserError: for an encoder that is not for text.
    """

    family = "predictive"
    modality = "text"
    paper = "1909.11942"
    when_to_use = "texts of several sentences, where how they hang together matters"

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.max_tokens = language_encoder(encoder).max_tokens
        self.classifier = nn.Linear(self.dim, 2)

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        swapped = torch.rand(len(batch.samples), generator=generator) < 0.5
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
        shown = self.in_halves(ids, swapped.to(ids.device), generator)
        answers = self.classifier(self.encode(shown)).argmax(1).bool().cpu()
        said = [
            f"{'swapped' if answer else 'in order'} {'✓' if answer == truth else '✗'}"
            for answer, truth in zip(answers.tolist(), swapped.tolist(), strict=True)
        ]
        place = torch.arange(shown.shape[1], device=shown.device)
        middle = (shown == views.special.sep).int().argmax(1, keepdim=True)
        ahead, behind = (
            views.decode(shown.where(side, views.special.pad)) for side in (place < middle, place > middle)
        )
        seen = [f"{first} ‖ {second}" for first, second in zip(ahead, behind, strict=True)]
        rows = [
            FigureRow("text", texts=views.decode(ids)),
            FigureRow("seen", texts=seen),
            FigureRow("said", texts=said),
        ]
        return [Figure("Which half comes first?", "Half of the texts have their halves swapped.", rows)]
