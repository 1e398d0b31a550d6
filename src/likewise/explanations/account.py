"""The whole encoder: what it ignores, what it knows, and which shortcut it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.features import evenly_spaced
from likewise.evaluation.inputs import ComputeSettings
from likewise.explanations.invariance import Invariance, between_samples, changes_of, embedded, invariances
from likewise.explanations.knowledge import FOLDS, PropertyProbe, probes, properties_of
from likewise.explanations.shortcuts import ShortcutVerdict, shortcut_verdict

SAMPLES = 512
FEWEST = 2 * FOLDS


@dataclass(frozen=True)
class EncoderAccount:
    """What an encoder does with samples of one modality."""

    modality: str
    data: str
    samples: int
    between: float
    """The mean cosine of two different samples."""
    invariances: list[Invariance]
    probes: list[PropertyProbe]
    verdict: ShortcutVerdict | None
    """None where there are no simple statistics."""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "data": self.data,
            "samples": self.samples,
            "cosine_between_samples": self.between,
            "ignores": [each.to_json() for each in self.invariances],
            "knows": [each.to_json() for each in self.probes],
            "shortcut": None if self.verdict is None else self.verdict.to_json(),
            "notes": self.notes,
        }


def account_of(
    encoder: nn.Module,
    views: Any,
    source: Source,
    untrained: nn.Module | None,
    compares_views: bool,
    *,
    compute: ComputeSettings,
    seed: int,
) -> EncoderAccount:
    """What the encoder does with samples of a source, at most `SAMPLES`, spread evenly.

    Args:
        untrained: the same architecture with random weights, to compare with.
        compares_views: whether the training compared two random views of a sample.

    Raises:
        UserError: for too few samples.
    """
    if len(source) < FEWEST:
        raise UserError(
            f"data must have at least {FEWEST} samples to explain an encoder, {source.name} has {len(source)}"
        )
    batch = source.read(evenly_spaced(len(source), SAMPLES)).to(compute.device)
    encoder = compute.place(encoder).eval()
    untrained = None if untrained is None else compute.place(untrained).eval()
    clean = views.clean(batch)
    embeddings = embedded(encoder, clean, compute)
    theirs = None if untrained is None else embedded(untrained, clean, compute)
    notes = []
    if not changes_of(views):
        notes.append(f"what is ignored is not measured with the views {type(views).__name__}, which are your own")
    return EncoderAccount(
        source.modality,
        source.name,
        len(embeddings),
        between_samples(embeddings),
        invariances(encoder, views, batch, untrained=untrained, compute=compute, seed=seed),
        probes(embeddings, theirs, properties_of(views, batch), seed=seed),
        shortcut_verdict(encoder, views, batch, compares_views=compares_views, compute=compute, seed=seed),
        notes,
    )


def seeded(build: Any, seed: int) -> nn.Module | None:
    """An encoder with random weights of this seed, without a draw from global generators; None if it can't be built."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return build()
        except UserError:
            return None
