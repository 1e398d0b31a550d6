"""Images in shards, decoded when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from likewise.data import pictures
from likewise.data.files import is_about_samples
from likewise.data.labelling import Labels
from likewise.data.levels import range_note, unseen_note
from likewise.data.live import decode_images, kept_once
from likewise.data.request import Request
from likewise.data.shard_index import IMAGE
from likewise.data.shards import Rows, ShardIds, ShardSet, media_of
from likewise.data.source import ImageSource, Source, label_note
from likewise.data.value_range import Range
from likewise.errors import UserError

SAMPLED = 256


def open_source(request: Request) -> Source | None:
    """The images of shards; None for any other data."""
    found = media_of(request, IMAGE)
    if found is None:
        return None
    samples, rows = found
    asked = request.read_options
    source = ShardImages(samples, rows, size=asked.size, channels=asked.channels, range=asked.range)
    return kept_once(source, [*samples.shards, rows.tobytes()], progress=request.progress)


class ShardImages(ImageSource):
    """Images of shards as uint8 `(n, channels, size, size)`; nothing but their index is kept.

    `size` and `channels` None: as `images.ImageFolder` has them, of up to 256 images spread over the shards. `range`
    None: that of 16 bits, for images of more than 8.
    """

    reads_slowly = True

    def __init__(
        self,
        samples: ShardSet,
        rows: Rows,
        *,
        size: int | None = None,
        channels: int | None = None,
        range: Range | None = None,
    ) -> None:
        self.samples, self.rows = samples, rows
        self.name = samples.name
        some = rows[np.linspace(0, len(rows) - 1, min(SAMPLED, len(rows))).astype(int)]
        there = set(samples.column("channels")[some].tolist())
        self.size = size or pictures.usual_size(samples.column("side")[some].tolist())
        self.channels = channels or (there.pop() if len(there) == 1 else 3)
        deep = samples.column("deep")[rows].astype(bool)
        self.deep = int(deep.sum())
        if self.deep and range is not None:
            self.range = range

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        rows = self.rows[indices.numpy()]
        return decode_images(
            self.samples.contents(rows),
            lambda place: self.samples.id(int(rows[place])),
            size=self.size,
            channels=self.channels,
            range=self.range,
        )

    @property
    def decoded_bytes(self) -> int:  # type: ignore[override]
        return len(self) * self.channels * self.size**2

    @cached_property
    def ids(self) -> Sequence[str]:
        return ShardIds(self.samples, self.rows)

    @cached_property
    def _labelled(self) -> Labels:
        return self.samples.labels(self.rows)

    @cached_property
    def classes(self) -> list[str]:
        return self._labelled[0]

    def labels(self) -> Int[Tensor, " len"]:
        numbers = self._labelled[1]
        if isinstance(numbers, str):
            raise UserError(numbers)
        return numbers

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        others = [each for each in self.samples.listed("others") if not is_about_samples(each[0])]
        return sorted([*self.samples.listed("unread"), *others])

    @cached_property
    def notes(self) -> list[str]:
        levels = (
            [range_note(self.range)]
            if self.range is not None
            else unseen_note(self.deep, len(self), pictures.SIXTEEN_BITS)
        )
        return [*levels, *label_note(self._labelled[1], "images")]

    @cached_property
    def blocks(self) -> Int[Tensor, " len"] | None:
        return self.samples.blocks(self.rows)

    def resized(self, size: int | None, channels: int | None) -> ShardImages:
        other = copy(self)
        other.size, other.channels = size or self.size, channels or self.channels
        return other
