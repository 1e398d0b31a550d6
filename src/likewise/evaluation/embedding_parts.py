"""Embeddings in parts: each process embeds its share into a file of its own, and goes on where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from likewise.atomic import own_folder, replacing, telling_of_the_disk
from likewise.data.source import Source
from likewise.errors import UserError
from likewise.evaluation.embedding_file import SUFFIXES, write_parquet

IDENTITY = b"likewise"
"""Key of a file's metadata: what says of which encoder and samples it is."""
SEGMENT = 4096
"""Rows that are kept at once, about: a killed process repeats no more."""

Embed = Callable[[Tensor], Float[Tensor, "n dim"]]
"""The embeddings of the samples at some places."""


@dataclass(frozen=True)
class SharePart:
    """One of so many parts of the samples, counted from 0."""

    number: int
    count: int

    @classmethod
    def of(cls, words: str) -> SharePart:
        """From "2/4", the second of four.

        Raises:
            UserError: for another text.
        """
        number, slash, count = words.partition("/")
        is_one = bool(slash) and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) < 10**5
        if not is_one:
            raise UserError(f"part must be one of several, such as 2/4, got {words!r}")
        return cls(int(number) - 1, int(count))

    def __str__(self) -> str:
        return f"{self.number + 1}/{self.count}"

    @property
    def file(self) -> str:
        return f"part-{self.number + 1:05d}-of-{self.count:05d}.parquet"

    def rows(self, samples: int, batch_size: int) -> range:
        """Whole batches of those that one process would make, so that rounding is the same.

        Raises:
            UserError: for more parts than batches.
        """
        batches = -(-samples // batch_size)
        if self.count > batches:
            raise UserError(f"part: {self.count:,} parts need as many batches, and there are {batches:,}: take fewer")
        first, last = (batches * each // self.count for each in (self.number, self.number + 1))
        return range(first * batch_size, min(last * batch_size, samples))


def check_parts_folder(out: Path) -> None:
    """Raise `UserError` for what is no folder to write parts into."""
    if out.suffix in SUFFIXES or out.is_file():
        raise UserError(f"out must be a folder where embeddings are written in parts, got {out}")


def write_part(
    embed: Embed,
    source: Source,
    folder: Path,
    part: SharePart,
    *,
    batch_size: int,
    identity: str,
    report: Callable[[int, int, str], object],
) -> tuple[int, int]:
    """Write the embeddings of a part of the samples into its own file; returns its rows and their dimension.

    A file that is there already is kept. What a killed process has kept is not embedded again.

    Args:
        batch_size: samples at a time.
        identity: of the encoder and the samples.
        report: called with (samples done, of how many, what is done).

    Raises:
        UserError: where the file is of another encoder or of other samples, or the disk is full.
    """
    rows = part.rows(len(source), batch_size)
    file = folder / part.file
    known = {IDENTITY: identity.encode()}
    with telling_of_the_disk(file, "what is done is kept: the same command goes on"):
        if file.exists():
            return _known_size(file, identity)
        segments = own_folder(folder / f".{part.file}.segments")
        paths: list[Path] = []
        each = max(1, SEGMENT // batch_size) * batch_size
        for start in range(rows.start, rows.stop, each):
            stop = min(start + each, rows.stop)
            path = segments / f"{start:012d}-{stop:012d}.parquet"
            if not _is_whole(path, identity):
                with replacing(path) as new:
                    write_parquet(
                        new, _batches(embed, range(start, stop), batch_size), source, first=start, metadata=known
                    )
            paths.append(path)
            report(stop - rows.start, len(rows), "embedding")
        with replacing(file) as new:
            dim = _join(new, paths)
        shutil.rmtree(segments, ignore_errors=True)
    return len(rows), dim


def _batches(embed: Embed, rows: range, batch_size: int) -> Iterator[Float[Tensor, "n dim"]]:
    for start in range(rows.start, rows.stop, batch_size):
        yield embed(torch.arange(start, min(start + batch_size, rows.stop)))


def _join(path: Path, segments: list[Path]) -> int:
    dim = 0
    writer: Any = None
    try:
        for segment in segments:
            table = pq.read_table(segment)
            dim = table.schema.field("vector").type.list_size
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return dim


def _is_whole(path: Path, identity: str) -> bool:
    try:
        return pq.read_schema(path).metadata.get(IDENTITY) == identity.encode()
    except (OSError, pa.ArrowException, AttributeError):
        return False


def _known_size(file: Path, identity: str) -> tuple[int, int]:
    if not _is_whole(file, identity):
        raise UserError(f"{file} is of another encoder, of other samples, or damaged: name another folder with --out")
    return size_of_part(file)


def size_of_part(file: Path) -> tuple[int, int]:
    """The rows of a file of embeddings, and their dimension."""
    about = pq.ParquetFile(file)
    return about.metadata.num_rows, about.schema_arrow.field("vector").type.list_size
