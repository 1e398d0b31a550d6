"""Supervised training of the pretrained encoder, from the head of the frozen one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from likewise.evaluation import linear, supervised
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult
from likewise.evaluation.seeds import trial_seed

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount

PART_OF_STEPS = 0.5
"""Fine-tuning starts near its end and takes this part of the steps that training from scratch takes."""


class FineTuned(EvaluationProtocol):
    """Encoder and head trained together on weak views, starting from the head of `frozen` (arXiv:2202.10054)."""

    name = "fine-tuned"
    label = "Fine-tuned encoder"
    style = LineStyle("--green", "solid", "diamond")
    pretrained = True

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        drawn = evaluation.draws[seed, count]
        return evaluation.train_encoder(
            copy.deepcopy(evaluation.pretrained).requires_grad_(True),
            evaluation.frozen_features.unfold(evaluation.frozen_classifier(seed, count)[0]),
            drawn,
            rates=supervised.fine_tuning_rates(len(drawn)),
            steps=self.steps(evaluation, seed, count),
            seed=trial_seed(seed, self.name, count),
        )

    def steps(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> int:
        """Optimisation steps of a trial."""
        steps = evaluation.steps or supervised.budget(len(evaluation.draws[seed, count]))
        return max(1, round(PART_OF_STEPS * steps))

    def cost(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> int:
        return self.steps(evaluation, seed, count) * evaluation.training_batch_size(len(evaluation.draws[seed, count]))

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        head, per_root = supervised.FINE_TUNED_HEAD, supervised.FINE_TUNED_PER_ROOT
        own = {
            "lr": {"encoder": f"min({head}, {per_root:.3g}·√labels)", "head": head},
            "part_of_steps": PART_OF_STEPS,
        }
        return (
            linear.settings() | supervised.settings(evaluation.steps, evaluation.compute.batch_size) | {self.name: own}
        )
