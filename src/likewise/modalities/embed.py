"""Embeddings of a source's samples, by the part of an encoder that takes their modality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from likewise.data.source import Source
from likewise.evaluation.features import encoder_features, stream
from likewise.evaluation.inputs import Machine
from likewise.modalities import tower_of


def stream_embeddings(
    encoder: nn.Module, views: Any, source: Source, *, machine: Machine
) -> Iterator[Float[Tensor, "n dim"]]:
    """Float32 embeddings of all samples, in their order, `machine.batch_size` at a time, on the CPU.

    Raises:
        UserError: when the encoder takes no samples of that modality.
    """
    tower, its_views = tower_of(encoder, views, source.modality)
    featurise = encoder_features(machine.place(tower).eval(), its_views, machine)
    return stream(featurise, source, batch_size=machine.batch_size)
