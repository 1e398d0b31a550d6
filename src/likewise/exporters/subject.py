"""What is exported: an encoder of samples of one modality, with the views that prepare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from likewise.encoders.base import encoder_name
from likewise.encoders.pair import PairEncoder, Tower
from likewise.errors import UserError
from likewise.modalities.encoding import known_modalities
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for

KNOWN = ("image", "text", "audio")


@dataclass(frozen=True)
class Subject:
    """An encoder of one modality: that of a run, or of a run on pairs the tower of one half."""

    run: Run
    encoder: nn.Module
    """On the CPU, in evaluation mode."""
    views: Any
    modality: str

    @property
    def name(self) -> str:
        """What messages call the encoder."""
        return encoder_name(self.network)

    @property
    def network(self) -> nn.Module:
        """The encoder without the projection into the joint space of pairs."""
        return self.encoder.encoder if isinstance(self.encoder, Tower) else self.encoder

    @property
    def projection(self) -> nn.Linear | None:
        """Into the joint space of pairs; None of an encoder that is not of pairs."""
        return self.encoder.projection if isinstance(self.encoder, Tower) else None

    @property
    def dim(self) -> int:
        """Length of the embeddings."""
        return self.encoder.dim  # type: ignore[return-value]


def subject_of(run: Run, modality: str | None) -> Subject:
    """What of a run is exported.

    Args:
        run: finished, with its encoder loaded or to be built.
        modality: of a run on pairs, that of the half; of other runs theirs, or None.

    Raises:
        UserError: for a run that has no encoder, and for a half that it does not have.
    """
    encoder, views = run.encoder, run.views
    halves = known_modalities(run)
    if not set(halves) <= set(KNOWN):
        raise UserError(
            f"{run.path} must have learned from {', '.join(KNOWN)} or pairs of them to be exported, got {run.modality} "
            "samples: save run.encoder with torch"
        )
    if isinstance(encoder, PairEncoder) and modality is None:
        raise UserError(
            f"modality must be {' or '.join(halves)}, got none: {run.path} has learned from pairs, and each half is "
            "exported by itself"
        )
    modality = modality or halves[0]
    if modality not in halves:
        raise UserError(f"modality must be {' or '.join(halves)}, which {run.path} has learned from, got {modality!r}")
    tower, its_views = encoder_for(modality, encoder, views)
    return Subject(run, tower.cpu().eval(), its_views, modality)
