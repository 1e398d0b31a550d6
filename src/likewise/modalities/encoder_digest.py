"""What an encoder is known again by: its weights, its architecture, and how its samples are prepared."""

from __future__ import annotations

import json

from likewise.data.cache import digest
from likewise.modalities.lookup import modality_of
from likewise.modalities.run import Run
from likewise.registry import MODALITIES
from likewise.runs.classifier import file_digest
from likewise.runs.weights import WEIGHTS


def encoder_digest(run: Run) -> str:
    """The same for two finished runs that give the same samples the same features, whatever else they are."""
    files: dict[str, str] = {}
    if run.config["views"] is not None and run.modality in MODALITIES:
        files = modality_of(run.modality).pack(run.views)[1]
    parts = [json.dumps(run.config[name], sort_keys=True) for name in ("encoder", "views")]
    return digest([*parts, *sorted(files.items()), file_digest(run.path / WEIGHTS)])
