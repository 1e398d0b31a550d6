"""Encoders of pairs: a tower for each half, all of them ending in the same space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError


class Tower(nn.Module):
    """An encoder and a linear map into the joint space, without bias (CLIP, arXiv:2103.00020, section 2.3)."""

    def __init__(self, encoder: nn.Module, joint_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        width: int = encoder.dim  # type: ignore[assignment]
        self.projection = nn.Linear(width, joint_dim, bias=False)
        nn.init.normal_(self.projection.weight, std=width**-0.5)
        self.dim = joint_dim

    def forward(self, view: Any) -> Float[Tensor, "n dim"]:
        return self.projection(self.encoder(view))


class PairEncoder(nn.Module):
    """Towers for the parts of samples, whose embeddings can be compared with each other.

    Attributes: `towers`, one for each part, each with its `dim`; `modalities`, of the parts; `dim`, of the joint space;
    `config`, what `likewise.modalities.pair` needs to build it again, None where an encoder has no `config`.

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
        if not shared and len(encoders) != len(modalities):
            raise UserError(f"encoders must be one for each of {', '.join(modalities)}, got {len(encoders)}")
        towers = [Tower(encoder, joint_dim) for encoder in encoders]
        self.towers = nn.ModuleList(towers * len(modalities) if shared else towers)
        self.modalities = list(modalities)
        self.dim = joint_dim
        configs = [getattr(encoder, "config", None) for encoder in encoders]
        made_of = {"encoders": configs, "joint_dim": joint_dim, "modalities": self.modalities}
        self.config: dict[str, Any] | None = None if None in configs else made_of

    def forward(self, view: Any) -> Float[Tensor, "n dim"]:
        """The mean of the parts' embeddings, each of length 1; `view` has the views of the parts as `parts`."""
        embeddings = [tower(part).float() for tower, part in zip(self.towers, view.parts, strict=True)]
        return torch.stack([F.normalize(z, dim=1) for z in embeddings]).mean(0)


def two_towers(encoder: nn.Module) -> tuple[Any, Any]:
    """The towers of an encoder of pairs.

    Raises:
        UserError: for an encoder without towers, or with more than two.
    """
    towers: Any = getattr(encoder, "towers", None)
    if towers is None:
        name = (getattr(encoder, "config", None) or {}).get("name", type(encoder).__name__)
        raise UserError(f"encoder must have a tower for each half of a pair, got {name}: give data of two columns")
    if len(towers) != 2:
        raise UserError(f"encoder must have two towers, got {len(towers)}: choose two columns of the data")
    return towers[0], towers[1]
