"""SimCSE: contrast two encodings of the same sentence, with dropout as the augmentation, or given pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likewise.checks import check_interval
from likewise.data.batches import Parts
from likewise.data.loader import Batch
from likewise.distributed import gather
from likewise.losses import info_nce
from likewise.losses.hard_negatives import info_nce_with_hard_negatives
from likewise.methods.base import Method, TrainingContext
from likewise.modules.temperature import Temperature

LARGEST_WEIGHT = 20  # e^20 of an anchor's own hard negative: no other counts any more
SAME = 1e-6  # squared distance of two unit embeddings that no dropout came between


class SimCSE(Method):
    """Gao et al. 2021, SimCSE: Simple Contrastive Learning of Sentence Embeddings, arXiv:2104.08821.

    The loss is InfoNCE of anchors with the positives of the batch, in this direction only, as in the paper. A text is
    encoded twice with different dropout, which the encoder must have. Samples of two texts are anchor and positive; a
    third text is a hard negative of its own anchor and of all others.

    Args:
        encoder: ids -> `(n, encoder.dim)`.
        temperature: T of the similarities: a number above 0, FIRST:LAST or learned:START (see `Temperature`).
        hard_weight: added to the logit of an anchor's own hard negative, from 0 to 20: the logarithm of the paper's α.

    Raises:
        UserError: for a number out of its range.
    """

    family = "contrastive"
    modality = "text"
    paper = "2104.08821"
    compares_augmentations = False
    accepts_groups = True
    when_to_use = "sentence embeddings to compare or search with; better with pairs of texts, where there are some"
    min_batch_size = 2

    def __init__(self, encoder: nn.Module, *, temperature: float | str = 0.05, hard_weight: float = 0.0) -> None:
        super().__init__(encoder)
        check_interval(0, LARGEST_WEIGHT, hard_weight=hard_weight)
        self.temperature = Temperature(temperature)
        self.hard_weight = hard_weight
        self.candidates = 1
        self.projector = nn.Sequential(nn.Linear(self.dim, self.dim), nn.Tanh())

    def prepare(self, context: TrainingContext, optimizers: Callable[[Method], Any] | None = None) -> None:
        super().prepare(context, optimizers)
        some = None if context.read is None else context.read(torch.arange(1))
        self.candidates = len(some.parts) - 1 if isinstance(some, Parts) else 1

    def make_views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, ...]:
        if isinstance(batch.samples, Parts):
            return self.views(batch.samples, generator).parts
        return super().make_views(batch, generator)

    def objective(self, anchor: Any, positive: Any, *hard: Any) -> Tensor:
        # One after the other, as they differ in length; each draws a dropout of its own.
        anchors, positives, *negatives = (gather(self.embed(text)) for text in (anchor, positive, *hard))
        self.track(anchors, positives)
        temperature = self.temperature(self.progress)
        if not negatives:
            return info_nce(anchors, positives, temperature=temperature)
        return info_nce_with_hard_negatives(
            anchors, positives, *negatives, temperature=temperature, weight=self.hard_weight
        )

    def embed(self, view: Any) -> Tensor:
        return self.projector(self.encode(view))

    def embed_pairs(self, samples: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        first, second, *_ = self.make_views(Batch(samples, torch.arange(len(samples))), generator)
        return self.embed(first), self.embed(second)

    def chance(self, batch_size: int) -> dict[str, float]:
        return {"loss": math.log(batch_size * self.candidates)}

    def degenerate_solution(self, figures: Mapping[str, float]) -> str | None:
        if figures.get("alignment", 1.0) > SAME:
            return None
        return "a text is embedded twice and comes out the same: take an encoder with dropout, or give pairs of texts"
