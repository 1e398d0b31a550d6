"""Pairs: rows of a table, files with captions beside them, WebDataset shards, or lists that go together."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.data import audio, images, tables, text
from likewise.data.batches import Parts
from likewise.data.captions import beside, unpacked
from likewise.data.files import File, by_name, by_subfolder, folder_of, printable, scan
from likewise.data.pictures import reason
from likewise.data.read_options import ReadOptions
from likewise.data.source import ChosenIds, Indices, Joined, Request, Source, Subset, fitted, linked
from likewise.errors import UserError

ACCEPTS = (
    "a table with two columns of paths or texts, a folder of images or recordings with same-named .txt captions, "
    "WebDataset .tar files, a pair of lists"
)
SUFFIXES = {"image": images.SUFFIXES, "audio": audio.SUFFIXES}
FILES = {"image": "image files", "audio": "recordings"}
USUAL = {
    "image": ("image", "img", "photo", "picture", "file", "path", "filename", "file_name"),
    "audio": ("audio", "sound", "recording"),
    "text": ("text", "caption", "sentence", "description"),
}
SAYS_FILES = {"image": USUAL["image"][:4], "audio": USUAL["audio"]}
TOGETHER = (
    ("anchor", "positive", "negative"),
    ("anchor", "positive"),
    ("query", "document"),
    ("sentence1", "sentence2"),
)
SCORES = ("score",)
SAMPLED = 1000

Kept = Int[np.ndarray, " kept"]
"""The rows that are pairs."""
Labels = tuple[list[str], Int[Tensor, " kept"] | str]
"""The classes, and the class of each sample; or no classes, and why."""


class PairSource:
    """Samples of several parts, each part a source of its own: `Parts` of their batches.

    Args:
        halves: two sources, or three (what belongs to the first, and what does not); all of one length.
        names: what the parts are called.
        name: of the whole; that of the first part if not given.
        ids: one a sample; those of the first part if not given.
        skipped: (file or row, reason) of what is no sample.
        labels: the classes, and the class of each sample; or none, and why.
        scores: how alike the parts of each sample are, as people said.
        notes: what people should know about the samples.

    Raises:
        UserError: for parts of different lengths.
    """

    modality = "pair"
    lengths = None
    tests_itself = True

    def __init__(
        self,
        halves: Sequence[Source],
        names: Sequence[str],
        *,
        name: str | None = None,
        ids: Sequence[str] | None = None,
        skipped: Iterable[tuple[str, str]] = (),
        labels: Labels = ([], "nothing says what they are"),
        scores: Float[Tensor, " n"] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        counts = [len(half) for half in halves]
        if len(set(counts)) != 1:
            raise UserError(f"the parts of pairs must be equally many, got {' and '.join(f'{n:,}' for n in counts)}")
        self.halves = tuple(halves)
        self.names = list(names)
        self.name = name or self.halves[0].name
        self.ids: Sequence[str] = self.halves[0].ids if ids is None else ids
        self.skipped = list(skipped)
        self.classes, self._labels = labels
        self.scores = scores
        self.notes = list(notes)

    def __len__(self) -> int:
        return len(self.halves[0])

    def read(self, indices: Int[Tensor, " n"]) -> Parts:
        return Parts(tuple(half.read(indices) for half in self.halves))

    @cached_property
    def groups(self) -> Int[Tensor, " len"]:
        """A number for each sample, the same for those that share a part: no part shall be on both sides of a test."""
        return linked(*(_identities(half) for half in self.halves))

    def labels(self) -> Int[Tensor, " len"]:
        if isinstance(self._labels, str):
            raise UserError(f"{self.name} has no labels: {self._labels}")
        return self._labels

    def fitted(self, read_options: ReadOptions) -> PairSource:
        """The same samples, every part read as `read_options` says for its modality."""
        return PairSource(
            [fitted(half, read_options) for half in self.halves],
            self.names,
            name=self.name,
            ids=self.ids,
            skipped=self.skipped,
            labels=(self.classes, self._labels),
            scores=self.scores,
            notes=self.notes,
        )


def _identities(half: Source) -> Sequence[Hashable]:
    """Something for each sample of a part that equal ones share: what a text says, which file a picture is."""
    if half.modality == "text":
        return text.documents_of(half)
    return half.indices.tolist() if isinstance(half, Subset) else range(len(half))


def halves_of(source: Any) -> list[Source]:
    """The parts of pairs, each a source: those of a `PairSource`, or of a part or a union of such.

    Raises:
        UserError: for a source of another kind.
    """
    if isinstance(source, Subset):
        return [Subset(half, source.indices, name=source.name) for half in halves_of(source.source)]
    if isinstance(source, Joined):
        return [Joined(parts, name=source.name) for parts in zip(*map(halves_of, source.sources), strict=True)]
    halves = getattr(source, "halves", None)
    if halves is None:
        raise UserError(f"{source.name} holds no pairs: its modality is {source.modality}")
    return list(halves)


def scores_of(source: Any) -> Float[Tensor, " n"] | None:
    """How alike the parts of each sample are, as people said; None where nobody did."""
    if isinstance(source, Subset):
        scores = scores_of(source.source)
        return None if scores is None else scores[source.indices]
    if isinstance(source, Joined):
        known = [scores for scores in map(scores_of, source.sources) if scores is not None]
        return torch.cat(known) if len(known) == len(source.sources) else None
    return getattr(source, "scores", None)


def open_source(request: Request) -> PairSource | None:
    """The source of what is asked for as pairs, by its modality or by columns that it has; None for anything else."""
    data, read_options = request.data, request.read_options
    if read_options.modality not in (None, "pair") or (read_options.modality is None and read_options.columns is None):
        return None
    if not isinstance(data, Path):
        return _lists(request)
    if data.is_dir():
        return _folder(request)
    if not tables.is_table(data) and not (data.suffix.lower() == ".tar" and data.is_file()):
        return None
    if request.split is not None:
        raise UserError(f"{data} is one file and has no split {request.split!r}")
    return _table(request) if tables.is_table(data) else _shards(request, [data], printable(data.stem))


class Column(NamedTuple):
    """One part of every row."""

    name: str
    kind: str
    """image, audio or text."""
    values: Sequence[str]
    """Paths, or texts."""


class Rows(NamedTuple):
    """What may be pairs, before any file was looked at."""

    name: str
    columns: Sequence[Column]
    folder: Path
    """Where paths start."""
    ids: Sequence[str] | None = None
    """What to call each row; None: by its first file, or by its number where it has none."""
    called: Mapping[str, str] = {}
    """What to call files, other than by their paths."""
    unpaired: Sequence[tuple[str, str]] = ()
    """(file, reason) of what is known to be no pair."""
    labels: Callable[[Kept], Labels] | None = None
    scores: Callable[[Kept], tuple[Tensor | None, list[str]]] | None = None
    """Their scores, and what is to be said about them."""
    notes: Sequence[str] = ()


class Media(NamedTuple):
    """The files of one kind, opened."""

    source: Source | None
    places: dict[str, int]
    """Where in the source each file is that can be read."""
    unread: list[tuple[str, str]]
    """(file, reason) of the others."""


def paired(rows: Rows, request: Request) -> PairSource:
    """The pairs that are whole: nothing in them is empty, and every file can be read.

    Raises:
        UserError: where there is none.
    """
    columns = rows.columns
    skipped, whole = list(rows.unpaired), list[int]()
    for row, values in enumerate(zip(*(column.values for column in columns), strict=True)):
        empty = [column.name for column, value in zip(columns, values, strict=True) if not value.strip()]
        if empty:
            skipped.append((rows.ids[row] if rows.ids else f"row {row + 1:,}", f"its {empty[0]} is empty"))
        else:
            whole.append(row)
    media: dict[str, Media] = {}
    for kind in SUFFIXES:
        paths = [column.values for column in columns if column.kind == kind]
        asked = sorted({values[row] for values in paths for row in whole})
        if asked:
            media[kind] = opened(kind, rows.folder, asked, request, rows.name)
            skipped += [(rows.called.get(file, printable(file)), why) for file, why in media[kind].unread]
            whole = [row for row in whole if all(values[row] in media[kind].places for values in paths)]
    count = len(columns[0].values)
    if not whole:
        first = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise UserError(f"{rows.name}: none of its {count:,} pairs is whole{first}")

    kept = np.array(whole)
    halves = [_half(column, kept, media.get(column.kind), request, rows.name) for column in columns]
    files = [column.values for column in columns if column.kind in media]
    ids = rows.ids or (files[0] if files else Indices(count))
    scores, said = rows.scores(kept) if rows.scores else (None, [])
    heard = [note for opened_ in media.values() for note in getattr(opened_.source, "notes", [])]
    return PairSource(
        halves,
        [column.name for column in columns],
        name=rows.name,
        ids=ChosenIds(ids, torch.from_numpy(kept)),
        skipped=skipped,
        labels=rows.labels(kept) if rows.labels else ([], "no column, and no subfolder, says what they are"),
        scores=scores,
        notes=[*rows.notes, *said, *heard],
    )


def opened(kind: str, folder: Path, paths: Sequence[str], request: Request, name: str) -> Media:
    """These files, decoded once into the cache; of a recording that is cut into pieces, the first."""
    files: list[File] = []
    unread: list[tuple[str, str]] = []
    for path in paths:
        try:
            stat = (folder / path).stat()
        except (OSError, ValueError) as error:
            unread.append((path, reason(error)))
        else:
            if S_ISREG(stat.st_mode):
                files.append(File.of(path, stat))
            else:
                unread.append((path, "not a regular file"))
    if not files:
        return Media(None, {}, unread)
    source: images.ImageFolder | audio.AudioSource
    if kind == "image":
        size, channels = request.read_options.size, request.read_options.channels
        source = images.ImageFolder(folder, files, name=name, size=size, channels=channels, progress=request.progress)
        first = list(range(len(source)))
    else:
        rate, progress = request.read_options.sample_rate, request.progress
        source = audio.from_files(
            folder, files, (), lambda _: ([], "no labels"), name=name, progress=progress, sample_rate=rate
        )
        recordings = source.recordings.numpy()
        first = np.searchsorted(recordings, np.unique(recordings)).tolist()
    broken = dict(source.skipped)
    readable = [file.id for file in files if printable(file.id) not in broken]
    unread += [(file.id, broken[printable(file.id)]) for file in files if printable(file.id) in broken]
    return Media(source, dict(zip(readable, first, strict=True)), unread)


def _half(column: Column, kept: Kept, media: Media | None, request: Request, name: str) -> Source:
    if media is not None and media.source is not None:
        places = [media.places[column.values[row]] for row in kept.tolist()]
        return Subset(media.source, torch.tensor(places), name=name)
    values = column.values
    documents: Sequence[str] = ChosenIds(values, torch.from_numpy(kept))
    if isinstance(values, tables.Texts) and values.rows is None:
        documents = tables.Texts(values.column, kept)
    return text.TextSource(documents, name=name, progress=request.progress)


def column_of(name: str, values: Sequence[str], *, where: object) -> Column:
    """A column as what its values are: paths of images or recordings by how most of them end, or texts.

    Raises:
        UserError: when its name says files, but its values are none.
    """
    spread = np.linspace(0, len(values) - 1, min(SAMPLED, len(values))).astype(int).tolist()
    some = [value for value in (values[i].lower() for i in spread) if value.strip()]
    for kind, suffixes in SUFFIXES.items():
        if sum(value.endswith(suffixes) for value in some) > len(some) / 2:
            return Column(name, kind, list(values))  # paths are looked at again and again
    for kind, names in SAYS_FILES.items():
        if name.lower() in names and some:
            raise UserError(
                f"{where}: column {name!r} should hold paths of {FILES[kind]}, got {some[0][:40]!r}; "
                f"they end in {' '.join(SUFFIXES[kind])}"
            )
    return Column(name, "text", values)


def _table(request: Request) -> PairSource | None:
    path, read_options = request.data, request.read_options
    table = tables.read_table(path)
    there = table.column_names
    if read_options.modality is None and not set(read_options.columns or ()) <= set(there):
        return None  # columns of other data: this is of another kind
    score = next(iter(tables.usual_columns(there, SCORES)), None)
    label, notes = tables.label_column(there, read_options, where=path, taken=read_options.columns or ())
    names = _paired_columns([name for name in there if name not in (score, label)], there, read_options, path)
    score, label = (None if name in names else name for name in (score, label))
    columns = [column_of(name, tables.Texts(tables.text_of(table, name, where=path)), where=path) for name in names]
    parts = " and ".join(f"{column.name!r} ({column.kind})" for column in columns)
    if len(there) > len(columns):
        notes.append(f"pairs are columns {parts}, " + (f"labels are column {label!r}" if label else "without labels"))
    rows = Rows(
        printable(path.stem),
        columns,
        path.parent,
        labels=partial(_labels_by_column, tables.text_of(table, label, where=path), label) if label else None,
        scores=partial(_scores_by_column, table[score], score, path) if score else None,
        notes=notes,
    )
    return paired(rows, request)


def _paired_columns(candidates: list[str], there: list[str], read_options: ReadOptions, path: Path) -> list[str]:
    """The columns that belong together.

    Raises:
        UserError: where those that were asked for are not there, or nobody can tell which they are.
    """
    if read_options.columns is not None:
        return [tables.column_named(name, there, where=path, option="columns") for name in read_options.columns]
    lower = {name.lower(): name for name in candidates}
    for together in TOGETHER:
        if set(together) <= set(lower):
            return [lower[name] for name in together]
    usual = [found[0] for names in USUAL.values() if (found := tables.usual_columns(candidates, names))]
    if len(usual) == 2:
        return sorted(usual, key=there.index)
    if len(candidates) == 2:
        return candidates
    listed = ", ".join(there)
    raise UserError(f"columns: say which two of {path} belong together, or take modality text; it has {listed}")


def _labels_by_column(column: pa.ChunkedArray, name: str, kept: Kept) -> Labels:
    words = list(tables.Texts(column, kept))
    if "" in words:
        return [], f"{words.count(''):,} of its {len(words):,} pairs have an empty {name!r}"
    return by_name(words)


def _scores_by_column(column: pa.ChunkedArray, name: str, path: Path, kept: Kept) -> tuple[Tensor | None, list[str]]:
    try:
        scores = [float(value) if value not in (None, "") else math.nan for value in column.to_pylist()]
    except (TypeError, ValueError):
        return None, [f"no scores are taken: column {name!r} holds other things than numbers"]
    chosen = torch.tensor(scores)[torch.from_numpy(kept)]
    missing = int((~chosen.isfinite()).sum())
    if missing:
        return None, [f"no scores are taken: {missing:,} of {len(chosen):,} pairs have none in column {name!r}"]
    return chosen, []


def _folder(request: Request) -> PairSource | None:
    """Images (or recordings, where there is no image), each with a caption of the same name; or shards."""
    asked = folder_of(request)
    if asked is None:
        return None
    folder, name = asked
    if shards := sorted(folder.glob("*.tar")):
        return _shards(request, shards, name)
    kind = "image"
    media, unreadable = scan(folder, SUFFIXES[kind])
    if not media:
        kind = "audio"
        media, unreadable = scan(folder, SUFFIXES[kind])
    if not media:
        return None
    said, unpaired = beside(folder, media, kind)
    if not said:
        raise UserError(
            f"{folder}: none of its {len(media):,} {FILES[kind]} has a caption that can be read: that of {media[0].id} "
            f"would be {Path(media[0].id).with_suffix('.txt').as_posix()}; a table with two columns serves as well"
        )
    unpaired += [(printable(file), why) for file, why in unreadable]
    ids = [printable(file) for file in said]
    columns = [Column(kind, kind, list(said)), Column("caption", "text", list(said.values()))]
    labels = partial(_labels_by_subfolder, folder, ids, FILES[kind])
    return paired(Rows(name, columns, folder, ids=ids, unpaired=unpaired, labels=labels), request)


def _labels_by_subfolder(folder: Path, ids: list[str], things: str, kept: Kept) -> Labels:
    return by_subfolder(folder, [ids[row] for row in kept.tolist()], things)


def _shards(request: Request, shards: Sequence[Path], name: str) -> PairSource:
    """The samples of WebDataset's .tar files: members of one name, an image or a recording and a caption."""
    paths: list[str] = []
    captions: list[str] = []
    ids: list[str] = []
    unpaired: list[tuple[str, str]] = []
    for shard in shards:
        folder, said = unpacked(shard, tuple(suffix for its in SUFFIXES.values() for suffix in its))
        within = f"{printable(shard.name)}/" if len(shards) > 1 else ""
        unpaired += [(within + member, why) for member, why in said["unpaired"]]
        for member, file, caption in said["samples"]:
            paths.append(str(folder / file))
            captions.append(caption)
            ids.append(within + member)
    if not paths:
        first = f" ({unpaired[0][0]}: {unpaired[0][1]})" if unpaired else ""
        raise UserError(f"{name} holds no image or recording with a .txt or .json caption{first}")
    kind = max(SUFFIXES, key=lambda kind: sum(path.endswith(SUFFIXES[kind]) for path in paths))
    columns = [Column(kind, kind, paths), Column("caption", "text", captions)]
    called = dict(zip(paths, ids, strict=True))
    return paired(Rows(name, columns, shards[0].parent, ids=ids, called=called, unpaired=unpaired), request)


def _lists(request: Request) -> PairSource | None:
    """Two or three lists of paths or texts, whose entries of one place belong together."""
    data = request.data
    if not isinstance(data, tuple) or len(data) not in (2, 3) or not all(map(_is_list, data)):
        return None
    if len(set(map(len, data))) != 1:
        raise UserError(f"the lists of pairs must be equally long, got {' and '.join(f'{len(d):,}' for d in data)}")
    columns = [
        column_of(name, [os.fspath(value) for value in values], where="the lists")
        for name, values in zip(("first", "second", "third"), data, strict=False)
    ]
    return paired(Rows("pairs", columns, Path()), request)


def _is_list(data: Any) -> bool:
    return (
        isinstance(data, Sequence) and not isinstance(data, str) and len(data) > 0 and isinstance(data[0], str | Path)
    )
