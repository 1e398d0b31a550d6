"""Encoders of pairs: a tower for each half, into one joint space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.checks import require
from likewise.encoders.base import Encoder, encoder_name
from likewise.errors import UserError


class Tower(Encoder):
    """An encoder and a linear map into the joint space, without bias (CLIP, arXiv:2103.00020, section 2.3).

    The features are those of the encoder, mapped into the joint space one by one.
    """

    config = None

    def __init__(self, encoder: nn.Module, joint_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        width: int = encoder.dim  # type: ignore[assignment]
        self.projection = nn.Linear(width, joint_dim, bias=False)
        nn.init.normal_(self.projection.weight, std=width**-0.5)
        self.dim = self.features_dim = joint_dim

    def forward(self, view: Any) -> Float[Tensor, "n dim"]:
        return self.projection(self.encoder(view))

    def features(self, view: Any) -> Float[Tensor, "n places dim"]:
        """The features of each place in the joint space.

        Raises:
            UserError: for an encoder without features, or whose features are not as long as its embedding.
        """
        return self.projection(self._encoder().features(view))

    def with_features(self, view: Any) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n places dim"]]:
        embedding, features = self._encoder().with_features(view)
        return self.projection(embedding), self.projection(features)

    def places_mask(self, view: Any) -> Bool[Tensor, "n places"] | None:
        return self._encoder().places_mask(view)

    def grid(self, view: Any = None) -> tuple[int, ...]:
        return self._encoder().grid(view)

    def _encoder(self) -> Encoder:
        encoder = self.encoder
        fits = isinstance(encoder, Encoder) and encoder.features_dim == encoder.dim
        require(fits, "encoder", f"one with features of {encoder.dim} numbers, as its embedding", encoder_name(encoder))
        return cast(Encoder, encoder)


class PairEncoder(Encoder):
    """Towers for the parts of samples, with embeddings in one joint space.

    A view has the views of the parts as `parts`. The embedding is the mean of the parts' embeddings, each of length 1.
    The places are those of the first part, then those of the next.

    Attributes:
        towers: one for each part, each an `Encoder`.
        modalities: of the parts.
        dim: of the joint space.
        config: what `likewise.modalities.pair.encoder` needs to build it again; None where an encoder has no `config`.

    Args:
        encoders: one for each part; or a single one, for parts of one modality, which then share their tower.
        joint_dim: length of the embeddings.
        modalities: of the parts.

    Raises:
        UserError: for another number of encoders.
    """

    def __init__(self, encoders: Sequence[nn.Module], joint_dim: int, modalities: Sequence[str]) -> None:
        super().__init__()
        shared = len(encoders) == 1 and len(set(modalities)) == 1
        fits = shared or len(encoders) == len(modalities)
        require(fits, "encoders", f"one for each of {', '.join(modalities)}", len(encoders))
        towers = [Tower(encoder, joint_dim) for encoder in encoders]
        self.towers = nn.ModuleList(towers * len(modalities) if shared else towers)
        self.modalities = list(modalities)
        self.dim = self.features_dim = joint_dim
        configs = [getattr(encoder, "config", None) for encoder in encoders]
        made_of = {"encoders": configs, "joint_dim": joint_dim, "modalities": self.modalities}
        self.config: dict[str, Any] | None = None if None in configs else made_of

    def forward(self, view: Any) -> Float[Tensor, "n dim"]:
        embeddings = [tower(part).float() for tower, part in self._parts(view)]
        return torch.stack([F.normalize(z, dim=1) for z in embeddings]).mean(0)

    def features(self, view: Any) -> Float[Tensor, "n places dim"]:
        """The features of the towers, one part after the other."""
        return torch.cat([tower.features(part) for tower, part in self._parts(view)], dim=1)

    def places_mask(self, view: Any) -> Bool[Tensor, "n places"] | None:
        masks = [tower.places_mask(part) for tower, part in self._parts(view)]
        if all(mask is None for mask in masks):
            return None
        samples, device = len(view.parts[0]), next(self.parameters()).device
        sizes = [(samples, math.prod(tower.grid(part))) for tower, part in self._parts(view)]
        whole = [torch.ones(size, dtype=torch.bool, device=device) for size in sizes]
        return torch.cat([ones if mask is None else mask for ones, mask in zip(whole, masks, strict=True)], dim=1)

    def grid(self, view: Any = None) -> tuple[int]:
        """(places,) of all parts."""
        parts = [None] * len(self.towers) if view is None else view.parts
        return (sum(math.prod(self._tower(i).grid(part)) for i, part in enumerate(parts)),)

    def _tower(self, part: int) -> Tower:
        return cast(Tower, self.towers[part])

    def _parts(self, view: Any) -> Iterator[tuple[Tower, Any]]:
        return ((self._tower(i), part) for i, part in enumerate(view.parts))


def two_towers(encoder: nn.Module) -> tuple[Tower, Tower]:
    """The towers of an encoder of pairs.

    Raises:
        UserError: for an encoder without towers, or with more than two.
    """
    towers: Any = getattr(encoder, "towers", None)
    if towers is None:
        name = encoder_name(encoder)
        raise UserError(f"encoder must be one with two towers, got {name}: give data of two columns")
    require(len(towers) == 2, "encoder", "one with two towers", len(towers), "choose two columns of the data")
    return towers[0], towers[1]
