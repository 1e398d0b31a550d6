"""One sample before an encoder: its embedding, whole and with parts hidden, and the features of its places."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.encoders.base import Encoder
from likewise.errors import UserError
from likewise.evaluation.inputs import ComputeSettings
from likewise.explanations.parts import HideableParts, parts_of, token_names
from likewise.views.text import TextViews

TOLERANCE = 1e-4
"""How far, relative to its length, an embedding may be from the mean of its places, by rounding."""


class Places(NamedTuple):
    """The features of a sample's places, of which the embedding is the mean."""

    features: Float64[Tensor, "places d"]
    shape: tuple[int, ...]
    names: list[str] | None
    """Of the tokens of a text."""
    counted: Bool[Tensor, " all"] | None
    """Which places of the view these are; None: all of them."""

    def over_the_view(self, values: Float64[Tensor, " places"]) -> Float64[Tensor, " all"]:
        """Values of these places at all places of the view, 0 at those that are not in the mean."""
        if self.counted is None:
            return values
        return values.new_zeros(len(self.counted)).masked_scatter(self.counted, values)

    @property
    def shares(self) -> Float64[Tensor, "places d"]:
        """What each place adds to the embedding of length 1: they sum to it."""
        mean = self.features.mean(0)
        return self.features / (len(self.features) * mean.norm().clamp_min(1e-12))


@dataclass(frozen=True, eq=False)
class ExplainedSample:
    """A sample, the encoder for it, and what of the sample can be hidden."""

    name: str
    modality: str
    encoder: nn.Module
    """In evaluation mode, on the device of `compute`."""
    views: Any
    view: Any
    """Of this sample alone, on that device."""
    parts: HideableParts
    compute: ComputeSettings

    @classmethod
    def of(cls, name: str, encoder: nn.Module, views: Any, batch: Any, compute: ComputeSettings) -> ExplainedSample:
        """The sample that a batch of one holds.

        Raises:
            UserError: for a sample of which nothing can be hidden.
        """
        view = views.clean(batch.to(compute.device))
        placed = compute.place(encoder).eval()
        return cls(name, views.modality, placed, views, view, parts_of(views, view), compute)

    def before(self, encoder: nn.Module) -> ExplainedSample:
        """The same sample before another encoder."""
        placed = self.compute.place(encoder).eval()
        return ExplainedSample(self.name, self.modality, placed, self.views, self.view, self.parts, self.compute)

    def embedding(self) -> Float64[Tensor, " dim"]:
        """Of the whole sample, of length 1."""
        return self._embed(self.view)[0]

    def without(self, hidden: Bool[Tensor, "m parts"]) -> Float64[Tensor, "m dim"]:
        """The embeddings of the sample without the parts that are True, each of length 1."""
        rows = hidden.split(self.compute.batch_size)
        return torch.cat([self._embed(self.parts.hide(some)) for some in rows])

    @torch.inference_mode()
    def places(self) -> Places | None:
        """The features of the places, if the embedding is their mean; None where it is anything else."""
        if not isinstance(self.encoder, Encoder):
            return None
        try:
            embedding, features = self.encoder.with_features(self.view)
            mask = self.encoder.places_mask(self.view)
            shape = self.encoder.grid(self.view)
        except (UserError, NotImplementedError):
            return None  # an architecture without places
        if features.ndim != 3 or features.shape[2] != embedding.shape[1]:
            return None
        own = features[0] if mask is None else features[0][mask[0]]
        own = own.double().cpu()
        if (own.mean(0) - embedding[0].double().cpu()).norm() > TOLERANCE * embedding.norm().item():
            return None
        shape = shape if math.prod(shape) == len(own) else (len(own),)
        names = None
        if isinstance(self.views, TextViews):
            ids = self.view[0] if mask is None else self.view[0][mask[0]]
            names = token_names(ids, self.views)
        return Places(own, shape, names, None if mask is None else mask[0].cpu())

    @torch.inference_mode()
    def _embed(self, view: Any) -> Float64[Tensor, "n dim"]:
        embeddings = self.compute.forward(self.encoder, view)
        return F.normalize(embeddings.double().cpu(), dim=1)


def hidden_alone(parts: int) -> Bool[Tensor, "parts parts"]:
    """Each part hidden alone."""
    return torch.eye(parts, dtype=torch.bool)


def as_list(values: Float[Tensor, "..."]) -> Any:
    """Numbers for JSON, to seven digits."""
    if values.ndim:
        return [as_list(row) for row in values]
    return float(f"{values.item():.7g}")
