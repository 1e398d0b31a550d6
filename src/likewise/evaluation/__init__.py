"""What an encoder is worth: few-label protocols, beside what it should be compared with."""

from likewise.evaluation.evaluate_encoder import evaluate_encoder
from likewise.evaluation.features import encode, stream
from likewise.evaluation.few_labels import DEFAULT_PROTOCOLS, PROTOCOLS
from likewise.evaluation.inputs import Machine

__all__ = ["DEFAULT_PROTOCOLS", "PROTOCOLS", "Machine", "encode", "evaluate_encoder", "stream"]
