"""Logistic regression on the features of the known weights that a training went on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likewise.evaluation import linear
from likewise.evaluation.features import FeatureTable, encoder_features
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class AsGiven(EvaluationProtocol):
    """As `frozen`, on the encoder as it was before the training: what the known weights are worth without it."""

    name = "as-given"
    label = "Weights as given"
    style = LineStyle("--blue", "dash", "circle-open")
    deterministic = True
    needs_given = True

    def __init__(self) -> None:
        self._features: FeatureTable | None = None

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        if self._features is None:
            assert evaluation.given is not None
            featurize = encoder_features(evaluation.given, evaluation.views, evaluation.compute)
            self._features = evaluation.feature_table(featurize, evaluation.draws.values())
        return evaluation.logistic_regression(self._features, seed, count)[1]

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return linear.settings()
