"""Nearest neighbours among raw features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likewise.evaluation import knn
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class RawKNN(EvaluationProtocol):
    """Weighted nearest neighbours on raw features: pixels, TF-IDF, log-mel statistics."""

    name = "raw-knn"
    label = "Nearest neighbours on {raw}"
    style = LineStyle("--sky", "dot", "square-open")
    deterministic = True

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        return evaluation.nearest_neighbors(evaluation.raw_features, seed, count)

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return knn.settings()
