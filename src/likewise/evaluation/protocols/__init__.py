"""The protocols by name, in the order of tables and charts. A protocol is one file with one class, and a line here."""

from __future__ import annotations

from likewise.evaluation.protocols.as_given import AsGiven
from likewise.evaluation.protocols.base import EvaluationProtocol, LineStyle, ProtocolResult
from likewise.evaluation.protocols.fine_tuned import FineTuned
from likewise.evaluation.protocols.frozen import Frozen
from likewise.evaluation.protocols.frozen_knn import FrozenKNN
from likewise.evaluation.protocols.raw_knn import RawKNN
from likewise.evaluation.protocols.raw_logistic import RawLogistic
from likewise.evaluation.protocols.scratch import Scratch
from likewise.evaluation.protocols.untrained import Untrained

__all__ = ["DEFAULT_PROTOCOLS", "PROTOCOLS", "EvaluationProtocol", "LineStyle", "ProtocolResult"]

PROTOCOLS: dict[str, type[EvaluationProtocol]] = {
    protocol.name: protocol
    for protocol in (Scratch, Frozen, FineTuned, AsGiven, Untrained, RawKNN, RawLogistic, FrozenKNN)
}
DEFAULT_PROTOCOLS = tuple(name for name, protocol in PROTOCOLS.items() if protocol.default)
