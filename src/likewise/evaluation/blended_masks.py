"""The mask of an image by the scores of its tiles, which are blended where tiles overlap."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from likewise.data.pictures import Letterboxed
from likewise.data.tiling import Place, Tiling

MOST_PIXELS = 2**22
"""Of an image, or of a row of its tiles, between whose places is interpolated; a larger one is enlarged from that."""


class BlendedMask:
    """The class of each pixel of an image: that of the highest score, a mean over the tiles that the pixel is in.

    A tile's weight falls from its middle to its edges, where a network sees one side only. Scores are kept of one row
    of tiles; when the next one begins, what is above it is done.

    Args:
        size: width and height of the image.
        tiling: how it is cut.
    """

    def __init__(self, size: tuple[int, int], tiling: Tiling) -> None:
        self.size = size
        width, height = size
        shrink = min(1.0, (MOST_PIXELS / (width * min(height, tiling.side))) ** 0.5)
        self.rows, self.columns = max(1, round(height * shrink)), max(1, round(width * shrink))
        self.mask = np.zeros((self.rows, self.columns), dtype=np.uint8)
        self.first, self.top = 0, -1
        """The first row of `sums`, and of the tiles in them."""
        self.sums: Tensor | None = None

    def add(self, place: Place, part: Letterboxed, predicted: Float[Tensor, "classes i j"]) -> None:
        """See `FromTiles`.

        Args:
            place: of the tile in the image.
            part: its square.
            predicted: scores of the classes at places of this.
        """
        left, top, right, bottom = place
        rows, columns = within(top, bottom, self.size[1], self.rows), within(left, right, self.size[0], self.columns)
        if top != self.top or self.sums is None:
            self._begin_row(top, rows, len(predicted))
        assert self.sums is not None
        y = (rows + 0.5) * (self.size[1] / self.rows) - top
        x = (columns + 0.5) * (self.size[0] / self.columns) - left
        scores = scores_at(predicted, y, x, part)
        weights = triangle(y, bottom - top)[:, None] * triangle(x, right - left)
        start, column = int(rows[0]) - self.first, int(columns[0])
        self.sums[:, start : start + len(rows), column : column + len(columns)].addcmul_(weights, scores)

    def joined(self) -> UInt8[np.ndarray, "h w"]:
        """The mask."""
        if self.sums is not None:
            self._finish(self.sums)
        if (self.columns, self.rows) == self.size:
            return self.mask
        return np.asarray(Image.fromarray(self.mask).resize(self.size, Image.Resampling.NEAREST))

    def _begin_row(self, top: int, rows: Tensor, classes: int) -> None:
        first = int(rows[0])
        sums = torch.zeros(classes, len(rows), self.columns)
        if self.sums is not None:
            done = first - self.first
            self._finish(self.sums[:, :done])
            left_over = self.sums[:, done:]
            sums[:, : left_over.shape[1]] = left_over
        self.sums, self.first, self.top = sums, first, top

    def _finish(self, sums: Float[Tensor, "classes rows columns"]) -> None:
        self.mask[self.first : self.first + sums.shape[1]] = sums.argmax(0).to(torch.uint8).numpy()


def within(start: int, end: int, length: int, count: int) -> Tensor:
    """Those of `count` pixels over a length whose middle is from `start` to `end`; at least one."""
    first, last = (-(-(2 * edge * count - length) // (2 * length)) for edge in (start, end))
    first = min(max(first, 0), count - 1)
    return torch.arange(first, max(first + 1, min(last, count)))


def triangle(places: Float[Tensor, " n"], length: int) -> Float[Tensor, " n"]:
    """How far places are from the nearer end of a length, as a share of it, and never nothing."""
    return (torch.minimum(places, length - places) / length).clamp_min(1e-3)


def scores_at(
    scores: Float[Tensor, "classes i j"], rows: Float[Tensor, " h"], columns: Float[Tensor, " w"], part: Letterboxed
) -> Float[Tensor, "classes h w"]:
    """Scores at pixels of a picture by those at places of the square that it lies in, between these by interpolation.

    Args:
        scores: at places of the square.
        rows, columns: middles of pixels, from the top and the left of the picture, in its pixels.
        part: the square.
    """
    (left, top, wide, high), (width, height), size = part.frame, part.size, part.pixels.shape[1]
    # From the edges of the frame, as `interpolate` places them.
    y = (top + rows * high / height) / size * 2 - 1
    x = (left + columns * wide / width) / size * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    return F.grid_sample(scores[None].float(), grid, padding_mode="border", align_corners=False)[0]
