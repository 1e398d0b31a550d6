"""Samples that are decoded when they are read, and samples of such sources that are kept once they are decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from torch.utils.data import get_worker_info

from likewise.console import count_of, tell
from likewise.data import pictures
from likewise.data.batches import Ragged
from likewise.data.cache import cache_use, cached, digest
from likewise.data.content import AnyFile
from likewise.data.files import in_threads, progress_bar
from likewise.data.levels import Levels
from likewise.data.random_rows import foreseen, read_rows
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source, Subset
from likewise.data.value_range import Range
from likewise.errors import UserError

AHEAD = 64  # decoded images that may wait for an earlier one
AT_ONCE = 64  # samples that are decoded at once for the cache
# Part of every cache key: raise it when samples would be kept in another way.
KEEPER = 1


def decode_images(
    files: Sequence[AnyFile], name_of: Callable[[int], str], *, size: int, channels: int, range: Range | None
) -> UInt8[Tensor, "n c h w"]:
    """Pictures in files, decoded now: by threads, or in a worker, which is one of several processes, by itself.

    Args:
        files: of the pictures.
        name_of: what messages call the one at a place.
        size: height and width in pixels.
        channels: of each.
        range: the numbers that become grey levels 0 and 255; None: that of 16 bits.

    Raises:
        UserError: for one that cannot be read.
    """
    batch = torch.empty(len(files), channels, size, size, dtype=torch.uint8)

    def pixels(file: AnyFile) -> np.ndarray:
        levels = Levels(range or pictures.SIXTEEN_BITS, of_whole_numbers=range is None)
        return pictures.decode(file, size, channels, levels)

    with pictures.quietly():
        each = in_threads(pixels, files, ahead=AHEAD) if get_worker_info() is None else map(pixels, files)
        for place in torch.arange(len(files)).tolist():
            try:
                batch[place] = torch.from_numpy(next(each))
            except Exception as error:
                raise UserError(f"{name_of(place)} cannot be read: {pictures.reason(error)}") from error
    return batch


def kept_once(source: Source, key: Sequence[object], *, progress: bool) -> Source:
    """The samples of a slow source, decoded once into the cache where `--cache` asks for it; or the source itself.

    Args:
        source: of images of one shape, or of recordings.
        key: what they are known again by, besides how the source decodes them.
        progress: whether to report on stderr.
    """
    use, taken = cache_use(), source.decoded_bytes
    if not use.keeps_shards or taken is None or not use.keeps(taken):
        return source
    return KeptOnce(source, key, progress=progress)


class KeptOnce(Subset):
    """The samples of a source, decoded once into the cache, when the first of them is read."""

    def __init__(self, source: Source, key: Sequence[object], *, progress: bool) -> None:
        super().__init__(source, torch.arange(len(source)))
        self.key, self.progress = key, progress
        self.reads_slowly = False

    def read(self, indices: Int[Tensor, " n"]) -> Any:
        return self._kept.read(indices.numpy())

    def contents(self, indices: Int[Tensor, " n"]) -> Any:
        return self.read(indices)

    def fitted(self, read_options: ReadOptions) -> Source:
        fitted = self.source.fitted(read_options)
        return self if fitted is self.source else kept_once(fitted, self.key, progress=self.progress)

    @cached_property
    def _kept(self) -> _Kept:
        how = [getattr(self.source, name, None) for name in ("size", "channels", "range", "sample_rate")]
        folder, about = cached("decoded", digest([KEEPER, *how, *self.key]), self._build)
        return _Kept(folder / "samples", about)

    def _build(self, building: Path) -> dict[str, Any]:
        shape: list[int] | None = None
        lengths: list[int] = []
        started = time.perf_counter()
        count = len(self.source)
        with (
            (building / "samples").open("wb") as out,
            progress_bar(self.name, "samples", count, self.progress) as done,
        ):
            for some in torch.arange(count).split(AT_ONCE):
                batch = self.source.read(some)
                if isinstance(batch, Ragged):
                    lengths += batch.lengths.tolist()
                    for row, length in zip(batch.values, batch.lengths.tolist(), strict=True):
                        out.write(row[:length].numpy().tobytes())
                else:
                    shape = list(batch.shape[1:])
                    out.write(batch.numpy().tobytes())
                for _ in some:
                    done()
        if self.progress:
            tell(f"{self.name}: decoded {count_of(count, 'sample')} in {time.perf_counter() - started:.1f} s")
        return {"shape": shape, "lengths": lengths}


class _Kept:
    """A file of samples: bytes of one shape, or 16-bit numbers of any length."""

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        self.shape = about["shape"]
        if self.shape is None:
            self.ends = np.cumsum(np.array(about["lengths"], dtype=np.int64))
            self.values: Any = np.memmap(file, dtype=np.int16, mode="r")
        else:
            self.values = np.memmap(file, dtype=np.uint8, mode="r").reshape(-1, *self.shape)

    def read(self, indices: Int[np.ndarray, " n"]) -> Any:
        if self.shape is not None:
            return torch.from_numpy(read_rows(self.values, indices))
        starts, ends = np.concatenate([[0], self.ends])[indices], self.ends[indices]
        with foreseen(self.values, starts, ends):
            return Ragged.of(
                torch.from_numpy(np.array(self.values[start:end]))
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            )
