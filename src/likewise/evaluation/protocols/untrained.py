"""Logistic regression on the features of an encoder that was not trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from likewise.evaluation import linear
from likewise.evaluation.features import FeatureTable, encoder_features
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult
from likewise.evaluation.seeds import seeded, trial_seed

if TYPE_CHECKING:
    from likewise.evaluation.few_labels import FewLabelEvaluation
    from likewise.evaluation.inputs import LabelCount


class Untrained(EvaluationProtocol):
    """As `frozen`, on a newly initialised encoder of the same architecture, one for each seed."""

    name = "untrained"
    label = "Untrained encoder"
    style = LineStyle("--purple", "dash", "circle-open")

    def __init__(self) -> None:
        self._features: dict[int, FeatureTable] = {}

    def run(self, evaluation: FewLabelEvaluation, seed: int, count: LabelCount) -> ProtocolResult:
        if seed not in self._features:
            self._features = {seed: self._encode(evaluation, seed)}  # seeds come one after the other: the last is kept
        return evaluation.logistic_regression(self._features[seed], seed, count)[1]

    def _encode(self, evaluation: FewLabelEvaluation, seed: int) -> FeatureTable:
        compute = evaluation.compute
        with seeded(trial_seed(seed, self.name, 0), compute.device):
            encoder = compute.place(evaluation.make_encoder()).eval()
        draws = [drawn for (s, _), drawn in evaluation.draws.items() if s == seed]
        return evaluation.feature_table(encoder_features(encoder, evaluation.views, compute), draws)

    def settings(self, evaluation: FewLabelEvaluation) -> dict[str, Any]:
        return linear.settings()
