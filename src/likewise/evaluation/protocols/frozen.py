"""Logistic regression on the features of the frozen encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likewise.evaluation import linear
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class Frozen(EvaluationProtocol):
    """Logistic regression on the encoder's standardised features."""

    name = "frozen"
    label = "Frozen encoder"
    style = LineStyle("--blue", "solid", "circle")
    pretrained = True
    deterministic = True

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        return evaluation.frozen_classifier(seed, count)[1]

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return linear.settings()
