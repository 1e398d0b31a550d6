"""Recordings in shards, decoded when they are read."""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import get_worker_info

from likewise.data import audio
from likewise.data.audio import AudioSource, Sound, Sounds
from likewise.data.batches import Ragged
from likewise.data.content import Content
from likewise.data.files import in_threads, is_about_samples
from likewise.data.pictures import reason
from likewise.data.request import Request
from likewise.data.shard_index import AUDIO
from likewise.data.shards import Rows, ShardIds, ShardSet, media_of
from likewise.data.source import label_note
from likewise.errors import UserError, needs

AHEAD = 4  # decoded recordings that may wait for an earlier one


def open_source(request: Request) -> ShardSounds | None:
    """The recordings of shards; None for any other data."""
    found = media_of(request, AUDIO)
    if found is None:
        return None
    samples, rows = found
    return ShardSounds(samples, rows, sample_rate=request.read_options.sample_rate or usual_rate(samples, rows))


def usual_rate(samples: ShardSet, rows: Rows) -> int:
    """The rate that most recordings have, but 16,000 Hz at most."""
    rates, counts = np.unique(samples.column("rate")[rows].clip(max=audio.HIGHEST), return_counts=True)
    return int(rates[counts == counts.max()].max())


class ShardSounds(AudioSource):
    """Recordings of shards; nothing but their index is kept."""

    reads_slowly = True

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
        recording = self.recordings.numpy()
        self._first = (lengths.cumsum() - lengths)[recording]

    @property
    def first_pieces(self) -> Int[np.ndarray, " recordings"]:
        """The first piece of each recording."""
        recordings = self.recordings.numpy()
        return np.searchsorted(recordings, np.unique(recordings))

    def read(self, indices: Int[Tensor, " n"]) -> Ragged:
        chosen = indices.numpy()
        recordings, place = np.unique(self.recordings.numpy()[chosen], return_inverse=True)
        rows = self._rows[recordings]
        contents = self._set.contents(rows)

        def sound(content: Content) -> Sound:
            return audio.decode(content, self.sample_rate)

        each = in_threads(sound, contents, ahead=AHEAD) if get_worker_info() is None else map(sound, contents)
        decoded: list[np.ndarray] = []
        for row in rows.tolist():
            try:
                decoded.append(next(each).samples)
            except Exception as error:
                raise UserError(f"{self._set.id(row)} cannot be read: {reason(error)}") from error
        starts, ends = (self._starts - self._first)[chosen], (self._ends - self._first)[chosen]
        values = np.zeros((len(chosen), (ends - starts).max(initial=0)), dtype=np.int16)
        for row, which, start, end in zip(values, place.tolist(), starts.tolist(), ends.tolist(), strict=True):
            piece = decoded[which][start:end]  # resampling rounds: a sample more or less
            row[: len(piece)] = piece
        return Ragged(torch.from_numpy(values), torch.from_numpy(ends - starts))

    @cached_property
    def blocks(self) -> Int[Tensor, " len"] | None:
        blocks = self._set.blocks(self._rows)
        return None if blocks is None else blocks[self.recordings]
