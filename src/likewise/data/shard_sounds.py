"""Recordings in shards, decoded when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
from jaxtyping import Int
from torch import Tensor

from likewise.data import audio
from likewise.data.audio import LiveSounds, Sounds
from likewise.data.content import AnyFile
from likewise.data.files import is_about_samples
from likewise.data.live import kept_once
from likewise.data.request import Request
from likewise.data.shard_index import AUDIO
from likewise.data.shards import Rows, ShardIds, ShardSet, media_of
from likewise.data.source import Source, label_note
from likewise.errors import needs


def open_source(request: Request) -> Source | None:
    """The recordings of shards; None for any other data."""
    found = media_of(request, AUDIO)
    if found is None:
        return None
    samples, rows = found
    rate = request.read_options.sample_rate or usual_rate(samples, rows)
    source = ShardSounds(samples, rows, sample_rate=rate)
    return kept_once(source, [*samples.shards, rows.tobytes()], progress=request.progress)


def usual_rate(samples: ShardSet, rows: Rows) -> int:
    """The rate that most recordings have, but 16,000 Hz at most."""
    rates, counts = np.unique(samples.column("rate")[rows].clip(max=audio.HIGHEST), return_counts=True)
    return int(rates[counts == counts.max()].max())


class ShardSounds(LiveSounds):
    """Recordings of shards; nothing but their index is kept."""

    def __init__(self, samples: ShardSet, rows: Rows, *, sample_rate: int) -> None:
        for module in ("soundfile", "soxr"):
            needs(module, "audio")
        lengths = np.rint(samples.column("seconds")[rows] * sample_rate).astype(np.int64).clip(min=1)
        silent, clipped = (samples.column(name)[rows].astype(bool) for name in ("silent", "clipped"))
        sounds = Sounds(
            np.empty(0, np.int16), lengths, samples.column("pieces")[rows].astype(np.int64), silent, clipped
        )
        labels = samples.labels(rows)
        others = [each for each in samples.listed("others") if not is_about_samples(each[0])]
        super().__init__(
            sounds,
            ShardIds(samples, rows),
            labels,
            name=samples.name,
            sample_rate=sample_rate,
            skipped=sorted([*samples.listed("unread"), *others]),
            notes=label_note(labels[1], "recordings"),
            resample=partial(ShardSounds, samples, rows),
        )
        self._set, self._rows = samples, rows

    def files_of(self, recordings: Int[np.ndarray, " n"]) -> tuple[Sequence[AnyFile], Callable[[int], str]]:
        rows = self._rows[recordings]
        return self._set.contents(rows), lambda place: self._set.id(int(rows[place]))

    @cached_property
    def blocks(self) -> Int[Tensor, " len"] | None:
        blocks = self._set.blocks(self._rows)
        return None if blocks is None else blocks[self.recordings]
