"""The variants of an agent on pixels: how observations are augmented, and whether they are contrasted.

Observations are as large as the encoder sees, but where they are cropped: then they are larger by 100/84, as in the
papers, and the encoder acts on their middle.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import Generator, Tensor

from likewise.agents.replay import Augmentation
from likewise.views.shift import random_crop, random_shift

PAD = 4  # px that DrQ shifts at 84 px
PAPERS_SIZE, PAPERS_WHOLE = 84, 100  # px


class Variant(NamedTuple):
    """What an agent does with its observations."""

    about: str
    crops: bool = False
    shifts: bool = False
    contrast: bool = False
    pretrained: bool = False

    def rendered(self, size: int) -> int:
        """Height and width of the observations, of which the encoder sees `size`."""
        return round(size * PAPERS_WHOLE / PAPERS_SIZE) if self.crops else size

    def augmentation(self, size: int) -> Augmentation | None:
        """Variants of the observations that values are learned from."""
        if self.crops:
            return crops_of(size)
        if self.shifts:
            return partial(_shifted, max(1, round(PAD * size / PAPERS_SIZE)))
        return None


VARIANTS = {
    "curl": Variant("random crops, and a contrastive loss between two of them (2004.04136)", crops=True, contrast=True),
    "rad": Variant("random crops alone (2004.14990)", crops=True),
    "drq": Variant("random shifts by a few pixels, one of each observation (2107.09645)", shifts=True),
    "pixel": Variant("the observations as they are"),
    "pretrained": Variant("the encoder of a run of `likewise pretrain`, frozen or trained further", pretrained=True),
}


def crops_of(size: int) -> Augmentation:
    """Random crops of this size."""
    return partial(_cropped, size)


def _cropped(size: int, observations: Tensor, generator: Generator) -> Tensor:
    return random_crop(observations, size, generator)


def _shifted(pad: int, observations: Tensor, generator: Generator) -> Tensor:
    return random_shift(observations, pad, generator)
