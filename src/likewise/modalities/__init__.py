"""Modalities: one module each, found by name through `likewise.registry`."""

from likewise.modalities.base import EvaluationInputs, Modality, TrainingSetup
from likewise.modalities.lookup import adapt_read_options, modality_of, part_modalities, setup
from likewise.modalities.towers import encoder_for

__all__ = [
    "EvaluationInputs",
    "Modality",
    "TrainingSetup",
    "adapt_read_options",
    "encoder_for",
    "modality_of",
    "part_modalities",
    "setup",
]
