"""Supervised training of the same architecture from random weights."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from torch import nn

from likewise.evaluation import supervised
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult
from likewise.evaluation.seeds import trial_seed

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class Scratch(EvaluationProtocol):
    """The same architecture, newly initialised, trained on weak views of the labelled samples."""

    name = "scratch"
    label = "Trained from scratch"
    style = LineStyle("--vermillion", "solid", "square")

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        encoder = evaluation.compute.place(evaluation.make_encoder()).requires_grad_(True)
        return evaluation.train_encoder(
            encoder,
            nn.Linear(encoder.dim, evaluation.classes),  # type: ignore[arg-type]
            evaluation.draws[seed, count],
            rates=supervised.SCRATCH,
            steps=self.steps(evaluation, seed, count),
            seed=trial_seed(seed, self.name, count),
        )

    def steps(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> int:
        """Optimisation steps of a trial."""
        return evaluation.steps or supervised.budget(len(evaluation.draws[seed, count]))

    def cost(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> int:
        return self.steps(evaluation, seed, count) * evaluation.training_batch_size(len(evaluation.draws[seed, count]))

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return supervised.settings(evaluation.steps, evaluation.compute.batch_size) | {
            self.name: {"lr": dataclasses.asdict(supervised.SCRATCH)}
        }
