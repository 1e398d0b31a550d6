"""The boxes of an image from those of its tiles: each thing once, and whole where a tile has it whole."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import batched_nms

from likewise.data.pictures import Letterboxed
from likewise.data.tiling import Place, Tiling
from likewise.evaluation.detection_measures import Detections

OVERLAP = 0.5
"""From which intersection over union on two boxes of a class are of one thing; of a box that is cut by the edge of its
tile, from which share of it inside of a whole one."""
NEAR = 0.02
"""Of a tile's side: a box that ends so near an edge is cut by it, as predicted edges are not exact."""
LEAST_AS_SURE = 0.5
"""Of the score of a cut box, that a whole one must have to replace it: of what is hardly sure there is much."""
MOST_MERGED = 20_000
"""Boxes of an image: of more than these, the surest."""
AT_ONCE = 256
"""Boxes that are compared with all others at once."""


class _TileBoxes(NamedTuple):
    """Boxes in pixels of the image."""

    boxes: Float[Tensor, "n 4"]
    labels: Int[Tensor, " n"]
    scores: Float[Tensor, " n"]
    cut: Bool[Tensor, " n"]
    """Whether an edge of the tile that is none of the image cuts the box."""
    tile: Int[Tensor, " n"]


class MergedBoxes:
    """The boxes of all tiles of an image, by non-maximum suppression of each class.

    Before that, a box that is cut by an edge of its tile inside of the image gives way to a whole one of another tile
    that most of it lies in, unless that is much less sure.

    Args:
        size: width and height of the image.
        tiling: how it is cut.
    """

    def __init__(self, size: tuple[int, int], tiling: Tiling) -> None:
        self.size, self.near = size, NEAR * tiling.side
        self.tiles = 0
        self.found: list[_TileBoxes] = []

    def add(self, place: Place, part: Letterboxed, predicted: Detections) -> None:
        """See `FromTiles`.

        Args:
            place: of the tile in the image.
            part: its square.
            predicted: the boxes in this.
        """
        boxes, labels, scores = in_image(predicted, part)
        boxes = boxes + torch.tensor([*place[:2], *place[:2]])
        inner_low = torch.tensor([edge + self.near if edge > 0 else -torch.inf for edge in place[:2]])
        ends = zip(place[2:], self.size, strict=True)
        inner_high = torch.tensor([edge - self.near if edge < end else torch.inf for edge, end in ends])
        cut = (boxes[:, :2] <= inner_low).any(1) | (boxes[:, 2:] >= inner_high).any(1)
        self.found.append(_TileBoxes(boxes, labels, scores, cut, torch.full_like(labels, self.tiles)))
        self.tiles += 1
        if sum(len(each.labels) for each in self.found) > 2 * MOST_MERGED:
            self.found = [self._surest()]

    def joined(self) -> Detections:
        """The boxes of the image, the surest first."""
        found = self._surest()
        boxes, labels, scores, _, _ = _TileBoxes(*(each[~replaced(found)] for each in found))
        order = batched_nms(boxes, scores.double(), labels, OVERLAP)
        return Detections(boxes[order], labels[order], scores[order])

    def _surest(self) -> _TileBoxes:
        together = [torch.cat(each) for each in zip(*self.found, strict=True)]
        best = together[2].argsort(descending=True, stable=True)[:MOST_MERGED]
        return _TileBoxes(*(each[best] for each in together))


def replaced(found: _TileBoxes) -> Bool[Tensor, " n"]:
    """Which boxes are parts of whole ones of other tiles."""
    boxes, labels, scores, cut, tile = found
    whole = (~cut).nonzero()[:, 0]
    gone = torch.zeros_like(cut)
    for some in cut.nonzero()[:, 0].split(AT_ONCE):
        covers = covered(boxes[some], boxes[whole]) >= OVERLAP
        covers &= labels[some][:, None] == labels[whole]
        covers &= tile[some][:, None] != tile[whole]
        covers &= scores[whole] >= LEAST_AS_SURE * scores[some][:, None]
        gone[some] = covers.any(1)
    return gone


def covered(boxes: Float[Tensor, "n 4"], others: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """The share of each box that is in each of some others."""
    low = torch.maximum(boxes[:, None, :2], others[:, :2])
    high = torch.minimum(boxes[:, None, 2:], others[:, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return (high - low).clamp(min=0).prod(2) / areas[:, None]


def in_image(found: Detections, picture: Letterboxed) -> Detections:
    """Boxes of the square that a picture lies in as those of the picture, cut at its edges; without those beside it."""
    left, top, wide, high = picture.frame
    size = torch.tensor(picture.size, dtype=torch.float64)
    corners = found.boxes.double().view(-1, 2, 2) - torch.tensor([left, top])
    corners = (corners / torch.tensor([wide, high]) * size).clamp(min=torch.zeros(2).double(), max=size)
    inside = (corners[:, 1] > corners[:, 0]).all(1)
    return Detections(corners.flatten(1)[inside], found.labels[inside], found.scores[inside])
