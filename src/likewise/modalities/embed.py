"""Embeddings of a source's samples, by the part of an encoder that takes their modality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from likewise.data.source import Source
from likewise.evaluation.features import Featurizer, encoder_features, stream
from likewise.evaluation.inputs import ComputeSettings
from likewise.modalities.towers import encoder_for


def embeddings_of(encoder: nn.Module, views: Any, source: Source, *, compute: ComputeSettings) -> Featurizer:
    """What embeds samples such as those of a source.

    Raises:
        UserError: when the encoder takes no samples of that modality.
    """
    tower, its_views = encoder_for(source.modality, encoder, views)
    return encoder_features(compute.place(tower).eval(), its_views, compute)


def stream_embeddings(
    encoder: nn.Module, views: Any, source: Source, *, compute: ComputeSettings
) -> Iterator[Float[Tensor, "n dim"]]:
    """Float32 embeddings of all samples, in their order, `compute.batch_size` at a time, on the CPU.

    Raises:
        UserError: when the encoder takes no samples of that modality.
    """
    return stream(embeddings_of(encoder, views, source, compute=compute), source, batch_size=compute.batch_size)
