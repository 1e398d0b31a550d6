"""Image files of any size for networks that take tiles: each is decoded once, its tiles are predicted in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likewise.data import pictures
from likewise.data.files import File
from likewise.data.pictures import Letterboxed
from likewise.data.tiling import Place, Tiling
from likewise.evaluation.inputs import ComputeSettings, EvaluationViews

OVERLAP = Fraction(1, 4)
"""Of a tile's side, at least: what is smaller is whole in one of the tiles."""

Predicted = TypeVar("Predicted", contravariant=True)
Joined = TypeVar("Joined", covariant=True)


class FromTiles(Protocol[Predicted, Joined]):
    """What is predicted of an image, tile by tile."""

    def add(self, place: Place, part: Letterboxed, predicted: Predicted) -> None:
        """A tile: where it is in the image, its square, and what is predicted of this. Tiles come row by row."""

    def joined(self) -> Joined:
        """What all tiles say together."""


def predict_tiled(
    predict: Callable[[Float[Tensor, "n c s s"]], Iterable[Any]],
    from_tiles: Callable[[tuple[int, int], Tiling], FromTiles[Any, Joined]],
    views: EvaluationViews,
    folder: Path,
    files: Sequence[File],
    *,
    tile: int,
    size: int,
    channels: int,
    compute: ComputeSettings,
) -> Iterator[tuple[File, tuple[Joined, tuple[int, int]] | str]]:
    """Each file with what is predicted of its image and the size of this, upright, or why there is nothing.

    Args:
        predict: view -> what is predicted of each tile.
        from_tiles: (size of an image, its tiling) -> what joins the predictions of its tiles.
        views: the `clean` ones.
        folder: that the files are in.
        files: the images.
        tile: the side of a tile, in pixels of the image.
        size, channels: of the views.
        compute: where; so many tiles are predicted at once.
    """
    tiling = Tiling(tile, OVERLAP)
    with pictures.quietly():
        for file in files:
            with ExitStack() as stack:
                try:
                    picture = stack.enter_context(pictures.decoded(folder / file.id))
                except Exception as error:
                    yield file, pictures.reason(error)
                    continue
                found = from_tiles(picture.size, tiling)
                places = iter(tiling.places(*picture.size))
                while some := list(islice(places, compute.batch_size)):
                    parts = [picture.part(place, tile, size, channels) for place in some]
                    view = views.clean(torch.from_numpy(np.stack([p.pixels for p in parts])).to(compute.device))
                    for place, part, predicted in zip(some, parts, predict(view), strict=True):
                        found.add(place, part, predicted)
            yield file, (found.joined(), picture.size)
