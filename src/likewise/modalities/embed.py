"""Embeddings of a source's samples, by the part of an encoder that takes their modality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likewise.data.source import Source
from likewise.errors import UserError
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


def stream_places(
    encoder: nn.Module, views: Any, source: Source, *, compute: ComputeSettings
) -> Iterator[Float[Tensor, "n places d"]]:
    """Float32 features of the places of all samples, in their order, `compute.batch_size` at a time, on the CPU.

    Raises:
        UserError: for an encoder without features of places, or samples that are no images, whose places differ.
    """
    if source.modality != "image":
        raise UserError(f"--places applies to images, but {source.name} is {source.modality}: leave it out")
    tower, its_views = encoder_for(source.modality, encoder, views)
    features: Any = getattr(compute.place(tower).eval(), "features", None)
    if features is None:
        raise UserError(f"encoder must have features of places (see Encoder), got {type(tower).__name__} without any")
    for some in torch.arange(len(source)).split(compute.batch_size):
        with torch.inference_mode():
            found = compute.forward(features, its_views.clean(source.read(some).to(compute.device))).cpu()
        yield found
