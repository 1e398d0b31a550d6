"""What an encoder is worth: accuracy with few labels, retrieval, perplexity, beside what they compare with."""

from likewise.evaluation.evaluate_encoder import evaluate_encoder
from likewise.evaluation.features import encode, stream
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.protocols import DEFAULT_PROTOCOLS, PROTOCOLS

__all__ = ["DEFAULT_PROTOCOLS", "PROTOCOLS", "ComputeSettings", "encode", "evaluate_encoder", "stream"]
