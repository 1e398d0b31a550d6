"""Nearest neighbours among the features of the frozen encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likewise.evaluation import knn
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class FrozenKNN(EvaluationProtocol):
    """Weighted nearest neighbours on the encoder's features (arXiv:1805.01978)."""

    name = "frozen-knn"
    label = "Nearest neighbours on frozen features"
    style = LineStyle("--ink", "dashdot", "cross")
    pretrained = True
    deterministic = True
    default = False

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        return evaluation.nearest_neighbors(evaluation.frozen_features, seed, count)

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return knn.settings()
