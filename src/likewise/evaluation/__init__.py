"""What an encoder is worth: few-label protocols, beside what it should be compared with."""

from likewise.evaluation.bench import DEFAULT_WAYS, WAYS
from likewise.evaluation.features import encode, stream
from likewise.evaluation.inputs import Machine
from likewise.evaluation.protocols import evaluate_encoder
from likewise.evaluation.table import render_table

__all__ = ["DEFAULT_WAYS", "WAYS", "Machine", "encode", "evaluate_encoder", "render_table", "stream"]
