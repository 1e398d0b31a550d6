"""A decoder of the maps of an encoder: what lies around a place, and at several depths, says what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional as F

from likewise.errors import UserError

WIDTH = 64
GROUPS = 8
"""Of the normalization, which does not depend on the other images of a batch."""


class MapDecoder(nn.Module):
    """A small U-Net's expanding half (Ronneberger et al. 2015, arXiv:1505.04597), from the coarsest map to the finest.

    Each map is standardized and brought to `WIDTH` channels, joined with what was decoded of the coarser ones, and two
    3x3 convolutions follow.

    Args:
        means: of the channels of each map, the finest map first.
        scales: by which they are divided.
        classes: how many there are.
    """

    def __init__(
        self, means: Sequence[Float[Tensor, " _"]], scales: Sequence[Float[Tensor, " _"]], classes: int
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(len(mean), WIDTH, 1) for mean in means)
        self.blocks = nn.ModuleList(_block(WIDTH) for _ in means[:-1])
        self.blocks.append(_block(0))
        self.classify = nn.Conv2d(WIDTH, classes, 1)
        for level, (mean, scale) in enumerate(zip(means, scales, strict=True)):
            self.register_buffer(f"mean_{level}", mean[:, None, None])
            self.register_buffer(f"scale_{level}", scale[:, None, None])

    def forward(self, maps: Sequence[Float[Tensor, "n _ _ _"]]) -> Float[Tensor, "n classes i j"]:
        """Logits at the places of the finest map, which is the first."""
        decoded = None
        for level in reversed(range(len(maps))):
            standardized = (maps[level] - self.get_buffer(f"mean_{level}")) / self.get_buffer(f"scale_{level}")
            level_map = self.lateral[level](standardized)
            if decoded is not None:
                size = level_map.shape[2:]
                coarser = F.interpolate(decoded.float(), size, mode="bilinear", align_corners=False)
                level_map = torch.cat([level_map, coarser.to(level_map.dtype)], dim=1)
            decoded = self.blocks[level](level_map)
        return self.classify(decoded)


def decoder_of(arrays: Mapping[str, Float32[np.ndarray, "..."]], classes: int, where: object) -> MapDecoder:
    """The decoder whose weights and buffers these are, by name.

    Raises:
        UserError: for weights of something else.
    """
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
    levels = range(sum(name.startswith("mean_") for name in weights))
    try:
        means, scales = ([weights[f"{what}_{level}"].flatten() for level in levels] for what in ("mean", "scale"))
        decoder = MapDecoder(means, scales, classes)
        decoder.load_state_dict(weights)
    except (RuntimeError, KeyError) as error:
        raise UserError(f"{where} has other weights than a decoder of its classes: fit the classifier again") from error
    return decoder


def _block(more: int) -> nn.Sequential:
    """Two convolutions of a map, to which `more` channels were joined."""
    layers: list[nn.Module] = []
    for channels in (WIDTH + more, WIDTH):
        layers += [nn.Conv2d(channels, WIDTH, 3, padding=1, bias=False), nn.GroupNorm(GROUPS, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers)
