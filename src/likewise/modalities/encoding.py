"""Embeddings of samples that are given from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32

from likewise.checks import check_int
from likewise.console import tell
from likewise.data.blocks import cut_notes
from likewise.data.items import audio_items, image_items, likely_modality, listed, longer_note, text_items
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings, encode
from likewise.modalities.towers import encoder_for
from likewise.training.machine import device_name

if TYPE_CHECKING:
    from likewise.modalities.run import Run


def encode_samples(
    run: Run, samples: Any, *, modality: str | None = None, sample_rate: int | None = None, batch_size: int = 512
) -> Float32[np.ndarray, "n dim"]:
    """See `likewise.Run.encode`."""
    check_int(batch_size=batch_size)
    known = known_modalities(run)
    if modality is not None and modality not in known:
        raise UserError(f"modality must be {' or '.join(known)}, which {run.path} has learned from, got {modality!r}")
    source = (
        samples.fitted(run.read_options) if isinstance(samples, Source) else given(run, samples, modality, sample_rate)
    )
    if source.modality not in (*known, run.modality):
        raise UserError(f"{run.path} has learned from {' and '.join(known)} samples, these are {source.modality}")
    encoder, views = encoder_for(source.modality, run.encoder, run.views)
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)
    embeddings = encode(compute.place(encoder), views, source, compute=compute).numpy()
    for note in [*cut_notes(source), *longer_note(source)]:
        tell(note)
    return embeddings


def known_modalities(run: Run) -> list[str]:
    """What the run's encoder takes: its modality; of pairs, that of each part."""
    if run.modality != "pair":
        return [run.modality]
    parts = getattr(run.encoder, "modalities", None)
    if parts is None:  # one encoder for all parts
        parts = [part["modality"] for part in (run.config["views"] or {}).get("parts", [])]
    return list(dict.fromkeys(parts))


def given(run: Run, samples: Any, modality: str | None, sample_rate: int | None) -> Source:
    """The source of samples that are given one by one or in an array."""
    known, read_options = known_modalities(run), run.read_options
    samples = listed(samples)
    modality = modality or likely_modality(samples, known)
    if sample_rate is not None and modality != "audio":
        raise UserError(f"sample_rate is for recordings, {run.path} takes {' and '.join(known)}")
    if modality == "image":
        return image_items(samples, read_options)
    if modality == "audio":
        return audio_items(samples, read_options, sample_rate=sample_rate)
    if modality == "text":
        _, views = encoder_for("text", run.encoder, run.views)
        return text_items(samples, views)
    if modality is None:
        raise UserError(f"modality must be given, these samples could be several of {', '.join(known)} or none of them")
    raise UserError(f"samples of modality {modality!r} must be a Source")
