"""Few-shot episodes in which the encoder learns too: the inner loop that meta-learning trained it for."""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional as F

from likewise.data.episodes import Episodes
from likewise.data.source import Source
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews
from likewise.modules.inner_loop import (
    Weights,
    batch_statistics,
    class_scores,
    embed_with,
    initial_weights,
    inner_loop,
)

ADAPTED = "adapted"
"""What the classifier is called beside those on features."""
BY_STEP = 100
"""Episodes, at most, that are measured after each step; all are measured after the last."""


class AdaptationSettings(NamedTuple):
    """The inner loop: gradient descent on the cross-entropy of the support."""

    inner_steps: int
    inner_lr: float


class AdaptedEncoder(NamedTuple):
    """An encoder to adapt in each episode; it is left as it is.

    The head begins with zeros. BatchNorm normalizes by the support, and by all queries of an episode together.
    """

    label: str
    """What people read."""
    encoder: nn.Module
    views: EvaluationViews
    settings: AdaptationSettings
    compute: ComputeSettings

    def accuracies(self, source: Source, drawn: Episodes, *, shot: int) -> Float[torch.Tensor, "episodes steps"]:
        """Accuracies of the queries before the first step and after each; NaN where they are not measured.

        Args:
            source: the samples.
            drawn: the episodes.
            shot: samples of each class that are learned from, the first ones.
        """
        steps = self.settings.inner_steps
        found = torch.full((len(drawn.classes), steps + 1), torch.nan)
        with batch_statistics(self.encoder), torch.no_grad():
            for place, (support, query) in enumerate(zip(drawn.support[:, :, :shot], drawn.query, strict=True)):
                measured = range(steps + 1) if place < BY_STEP else (steps,)
                for step, accuracy in self._by_step(source, support, query, set(measured)).items():
                    found[place, step] = accuracy
        return found

    def _by_step(
        self, source: Source, support: torch.Tensor, query: torch.Tensor, measured: set[int]
    ) -> dict[int, float]:
        view, asked = (
            self.views.clean(source.read(part.flatten()).to(self.compute.device)) for part in (support, query)
        )
        way = torch.arange(len(support), device=self.compute.device)
        classes, truth = (way.repeat_interleave(part.shape[1]) for part in (support, query))

        def loss(weights: Weights) -> Float[torch.Tensor, ""]:
            return F.cross_entropy(class_scores(weights, embed_with(self.encoder, weights, view)), classes)

        found = {}
        losses = repeat(loss, self.settings.inner_steps)
        path = inner_loop(
            losses, initial_weights(self.encoder, len(way)), lr=self.settings.inner_lr, second_order=False
        )
        for step, weights in enumerate(path):
            if step in measured:
                scores = class_scores(weights, embed_with(self.encoder, weights, asked))
                found[step] = float((scores.argmax(1) == truth).float().mean())
        return found
