"""Logistic regression on raw features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likewise.evaluation import linear
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class RawLogistic(EvaluationProtocol):
    """Logistic regression on raw features: pixels, TF-IDF, log-mel statistics."""

    name = "raw-logistic"
    label = "Logistic regression on {raw}"
    style = LineStyle("--grey", "dot", "diamond-open")
    deterministic = True

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        return evaluation.logistic_regression(evaluation.raw_features, seed, count)[1]

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return linear.settings()
