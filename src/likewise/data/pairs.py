"""Pairs: rows of a table, files with captions beside them, WebDataset shards, or lists that go together."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.console import count_of
from likewise.data import tables, text
from likewise.data.addresses import Address, shard_files
from likewise.data.batches import Parts
from likewise.data.captions import CAPTIONS, beside, caption_names, described_by
from likewise.data.file_tables import paths_near
from likewise.data.files import File, by_name, folder_of, no_file, printable, scan
from likewise.data.folder_labels import folder_labelling, metadata_of
from likewise.data.labelling import Labels
from likewise.data.live import kept_once
from likewise.data.pictures import reason
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.resolve import resolve
from likewise.data.shard_images import ShardImages
from likewise.data.shard_index import AUDIO, IMAGE
from likewise.data.shard_sounds import ShardSounds, usual_rate
from likewise.data.shard_texts import CaptionedIds, Captions
from likewise.data.shards import ShardSet, shard_set
from likewise.data.source import ChosenIds, Indices, Source, Subset, connected_groups, label_note, total_bytes
from likewise.data.split_folders import split_folder
from likewise.errors import UserError
from likewise.registry import MODALITIES, load_modality

FILE_COLUMNS = ("file", "path", "filename", "file_name")  # of files of any modality
TEXT_COLUMNS = ("text", "caption", "sentence", "description")
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


class PairSource(Source):
    """Samples of several parts, each part a source of its own: `Parts` of their batches.

    Args:
        parts: two sources, or three (what belongs to the first, and what does not); all of one length.
        names: what the parts are called.
        name: of the whole; that of the first part if not given.
        ids: one a sample; those of the first part if not given.
        skipped: (file or row, reason) of what is no sample.
        labels: the classes, and the class of each sample; or none, and why.
        scores: how similar people found the parts of each sample.
        notes: what people should know about the samples.

    Raises:
        UserError: for parts of different lengths.
    """

    modality = "pair"
    has_own_targets = True

    def __init__(
        self,
        parts: Sequence[Source],
        names: Sequence[str],
        *,
        name: str | None = None,
        ids: Sequence[str] | None = None,
        skipped: Iterable[tuple[str, str]] = (),
        labels: Labels = ([], "nothing says what they are"),
        scores: Float[Tensor, " n"] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        counts = [len(part) for part in parts]
        if len(set(counts)) != 1:
            raise UserError(f"parts must have equally many samples, got {' and '.join(f'{n:,}' for n in counts)}")
        self.parts = list(parts)
        self.reads_slowly = any(part.reads_slowly for part in self.parts)
        self.decoded_bytes = total_bytes(self.parts)
        self.names = list(names)
        self.name = name or self.parts[0].name
        self.ids = self.parts[0].ids if ids is None else ids
        self.skipped = list(skipped)
        self.classes, self._labels = labels
        self.scores = scores
        self.notes = list(notes)

    def __len__(self) -> int:
        return len(self.parts[0])

    def read(self, indices: Int[Tensor, " n"]) -> Parts:
        return Parts(tuple(part.read(indices) for part in self.parts))

    @cached_property
    def groups(self) -> Int[Tensor, " len"]:
        """A number for each sample, the same for those that share a part: no part is on both sides of a split."""
        return connected_groups(*(_identities(part) for part in self.parts))

    @cached_property
    def blocks(self) -> Int[Tensor, " len"] | None:
        return next((part.blocks for part in self.parts if part.blocks is not None), None)

    def labels(self) -> Int[Tensor, " len"]:
        if isinstance(self._labels, str):
            raise UserError(f"{self.name} has no labels: {self._labels}")
        return self._labels

    def fitted(self, read_options: ReadOptions) -> PairSource:
        """The same samples, every part read as `read_options` says for its modality."""
        return PairSource(
            [part.fitted(read_options) for part in self.parts],
            self.names,
            name=self.name,
            ids=self.ids,
            skipped=self.skipped,
            labels=(self.classes, self._labels),
            scores=self.scores,
            notes=self.notes,
        )


def _identities(part: Source) -> Sequence[Hashable]:
    """Something for each sample of a part that equal ones share: what a text says, which file an image is."""
    if part.modality == "text":
        return text.corpus(part)
    return part.indices.tolist() if isinstance(part, Subset) else range(len(part))


def file_modalities() -> dict[str, Any]:
    """The modalities whose samples are files, so that paths of them can be a part of pairs, by name."""
    return {name: modality for name in MODALITIES if (modality := load_modality(name)).column_names}


def adapt_read_options(read_options: ReadOptions, data: Any) -> ReadOptions:
    """How to read `data` for an encoder of pairs: as pairs, or, where it holds none, as samples of one part.

    A folder without captions, and a table of one column beside labels, hold no pairs.
    """
    found, split = resolve(data)
    part = split_folder(found, split) if split and isinstance(found, Path) and found.is_dir() else None
    if isinstance(found, Address) or (isinstance(found, Path) and _has_shards(part or found)):
        samples = shard_set(Request(found, split if part else None, read_options=read_options, progress=False))
        are_pairs = samples is None or bool(samples.caption_counts.any())
    elif isinstance(found, Path) and found.is_dir():
        are_pairs = _has_captions(part or found, read_options)
    else:
        are_pairs = not tables.is_table(found) or _has_two_columns(found, read_options)
    return read_options if are_pairs else dataclasses.replace(read_options, modality=None)


def _has_shards(path: Path) -> bool:
    """Whether a path is a shard, or a folder of shards: Parquet files that hold no files are tables."""
    if not path.is_dir():
        return path.is_file() and (path.suffix.lower() == ".tar" or tables.holds_files(path))
    return any(path.suffix == ".tar" or tables.holds_files(path) for path in shard_files(path)[:1])


def _has_captions(folder: Path, read_options: ReadOptions) -> bool:
    """Whether a folder has files with captions of the same name, or in a table."""
    if _described(folder, read_options):
        return True
    captions = {file.id.removesuffix(file.id[-len(CAPTIONS) :]) for file in scan(folder, (CAPTIONS,))[0]}
    return bool(captions) and any(
        described_by(file.id, captions) is not None
        for modality in file_modalities().values()
        for file in scan(folder, modality.suffixes, modality.recognises)[0]
    )


def _has_two_columns(table: Path, read_options: ReadOptions) -> bool:
    """Whether a table has the columns that were named as pairs, or, beside labels, more than one of paths or texts."""
    columns = tables.columns_of(table)
    if read_options.columns is not None and set(read_options.columns) <= set(columns):
        return True
    rows = tables.read_table(table)
    others = {read_options.label_column, *tables.usual_columns(columns, tables.LABELS), *tables.addresses(rows)}
    return len(set(tables.text_columns(rows)) - others) > 1


def open_source(request: Request) -> PairSource | None:
    """The source of what is asked for as pairs, by its modality or by columns that it has; None for anything else."""
    data, read_options = request.data, request.read_options
    if read_options.modality not in (None, "pair") or (read_options.modality is None and read_options.columns is None):
        return None
    if isinstance(data, Path) and data.is_dir():
        return _folder(request)
    if _may_be_shards(data, read_options) and (samples := shard_set(request)) is not None:
        return _shards(samples, request)
    if not isinstance(data, Path):
        return _lists(request)
    if not tables.is_table(data):
        return None
    if request.split is not None:
        raise UserError(f"{data} is one file and has no split {request.split!r}")
    return _table(request)


def _may_be_shards(data: Any, read_options: ReadOptions) -> bool:
    """Whether data may be shards: columns that are named are of a table where none of them holds files."""
    if read_options.columns is None or isinstance(data, Address):
        return True
    return isinstance(data, Path) and tables.holds_files(data, read_options.columns)


class Column(NamedTuple):
    """One part of every row."""

    name: str
    modality: str
    """One of `file_modalities`, or text."""
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
    unpaired: Sequence[tuple[str, str]] = ()
    """(file, reason) of what is known to be no pair."""
    labels: Callable[[Kept], Labels] | None = None
    scores: Callable[[Kept], tuple[Tensor | None, list[str]]] | None = None
    """Their scores, and notes about them."""
    notes: Sequence[str] = ()


class Media(NamedTuple):
    """The files of one modality, opened."""

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
    for modality in file_modalities():
        paths = [column.values for column in columns if column.modality == modality]
        asked = sorted({values[row] for values in paths for row in whole})
        if asked:
            media[modality] = found = open_files(modality, rows.folder, asked, request, rows.name)
            skipped += [(printable(file), why) for file, why in found.unread]
            whole = [row for row in whole if all(values[row] in found.places for values in paths)]
    count = len(columns[0].values)
    if not whole:
        first = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise UserError(f"{rows.name}: none of its {count:,} pairs is whole{first}")

    kept = np.array(whole)
    parts = [_part(column, kept, media.get(column.modality), request, rows.name) for column in columns]
    files = [column.values for column in columns if column.modality in media]
    ids = rows.ids or (files[0] if files else Indices(count))
    labels: Labels = rows.labels(kept) if rows.labels else ([], "no column, and no subfolder, says what they are")
    scores, score_notes = rows.scores(kept) if rows.scores else (None, [])
    file_notes = [note for found in media.values() if found.source is not None for note in found.source.notes]
    return PairSource(
        parts,
        [column.name for column in columns],
        name=rows.name,
        ids=ChosenIds(ids, torch.from_numpy(kept)),
        skipped=skipped,
        labels=labels,
        scores=scores,
        notes=[*rows.notes, *label_note(labels[1], "pairs"), *score_notes, *file_notes],
    )


def open_files(modality: str, folder: Path, paths: Sequence[str], request: Request, name: str) -> Media:
    """These files, decoded once into the cache; of a recording that is cut into pieces, the first.

    Args:
        modality: one of `file_modalities`.
        folder: where the paths start.
        name: of the source.
    """
    files: list[File] = []
    unread: list[tuple[str, str]] = []
    for path in paths:
        try:
            stat = (folder / path).stat()
        except FileNotFoundError as error:
            unread.append((path, f"{reason(error)}: paths start at {folder}"))
        except (OSError, ValueError) as error:
            unread.append((path, reason(error)))
        else:
            if why := no_file(stat):
                unread.append((path, why))
            else:
                files.append(File.of(path, stat))
    if not files:
        return Media(None, {}, unread)
    source, first = load_modality(modality).open_files(folder, files, name, request)
    broken = dict(source.skipped)
    readable = [file.id for file in files if printable(file.id) not in broken]
    unread += [(file.id, broken[printable(file.id)]) for file in files if printable(file.id) in broken]
    return Media(source, dict(zip(readable, first, strict=True)), unread)


def _part(column: Column, kept: Kept, media: Media | None, request: Request, name: str) -> Source:
    if media is not None and media.source is not None:
        places = [media.places[column.values[row]] for row in kept.tolist()]
        return Subset(media.source, torch.tensor(places), name=name)
    values = column.values
    documents: Sequence[str] = ChosenIds(values, torch.from_numpy(kept))
    if isinstance(values, tables.Texts) and values.rows is None:
        documents = tables.Texts(values.column, kept)
    return text.TextSource(documents, name=name, progress=request.progress)


def column_of(name: str, values: Sequence[str], *, where: object, table: Path | None = None) -> Column:
    """A column as what its values are: paths of images or recordings by how most of them end, or texts.

    Args:
        table: the file that the column is in: values may name files beside it, as `paths_near` says.

    Raises:
        UserError: when its name says files, but its values are none.
    """
    spread = np.linspace(0, len(values) - 1, min(SAMPLED, len(values))).astype(int).tolist()
    some = [value for value in (values[i].lower() for i in spread) if value.strip()]
    if sum(value.startswith(tables.SCHEMES) for value in some) > len(some) / 2:
        return Column(name, "text", values)
    for modality in file_modalities().values():
        if sum(value.endswith(modality.suffixes) for value in some) > len(some) / 2:
            paths = list(values)  # they are looked at again and again
            return Column(name, modality.name, (table and paths_near(table, paths, modality)) or paths)
    if table is not None and some and name.lower() not in (*TEXT_COLUMNS, *chain(*TOGETHER)):
        for modality in file_modalities().values():
            if found := paths_near(table, values, modality):
                return Column(name, modality.name, found)
    for modality in file_modalities().values():
        if name.lower() in modality.column_names and some:
            raise UserError(
                f"{where}: column {name!r} must hold paths of {modality.nouns[1]}, got {some[0][:40]!r}; "
                f"they end in {' '.join(modality.suffixes)}"
            )
    return Column(name, "text", values)


def _described(folder: Path, read_options: ReadOptions) -> Path | None:
    """The table in a folder that says in texts what the files beside it are, as in Hugging Face's `imagefolder`."""
    return next(
        (path for path in metadata_of(folder) if path.parent == folder and _has_two_columns(path, read_options)), None
    )


def _table(request: Request, name: str | None = None) -> PairSource | None:
    path, read_options = request.data, request.read_options
    table = tables.read_table(path)
    there = table.column_names
    if read_options.modality is None and not set(read_options.columns or ()) <= set(there):
        return None  # columns of other data: this is of another kind
    score = next(iter(tables.usual_columns(there, SCORES)), None)
    label, notes = tables.label_column(there, read_options, where=path, taken=read_options.columns or ())
    addresses = [] if read_options.columns is not None else tables.addresses(table)
    candidates = [name for name in there if name not in (score, label, *addresses)]
    names = _paired_columns(candidates, there, addresses, read_options, path)
    score, label = (None if name in names else name for name in (score, label))
    columns = [
        column_of(name, tables.Texts(tables.text_of(table, name, where=path)), where=path, table=path) for name in names
    ]
    parts = " and ".join(f"{column.name!r} ({column.modality})" for column in columns)
    if len(there) > len(columns):
        notes.append(f"pairs are columns {parts}, " + (f"labels are column {label!r}" if label else "without labels"))
    rows = Rows(
        name or printable(path.stem),
        columns,
        path.parent,
        labels=partial(_labels_by_column, tables.text_of(table, label, where=path), label) if label else None,
        scores=partial(_scores_by_column, table[score], score, path) if score else None,
        notes=notes,
    )
    return paired(rows, request)


def _paired_columns(
    candidates: list[str], there: list[str], addresses: list[str], read_options: ReadOptions, path: Path
) -> list[str]:
    """The columns that belong together.

    Args:
        candidates: the columns that may, if none are asked for.
        there: all columns.
        addresses: those that hold addresses on the web, which are no texts.

    Raises:
        UserError: where those that were asked for are not there, or it is not clear which they are.
    """
    if read_options.columns is not None:
        return [tables.column_named(name, there, where=path, option="columns") for name in read_options.columns]
    lower = {name.lower(): name for name in candidates}
    for together in TOGETHER:
        if set(together) <= set(lower):
            return [lower[name] for name in together]
    names = [modality.column_names for modality in file_modalities().values()]
    names[0] = (*names[0], *FILE_COLUMNS)  # files of no stated modality are most often of the first one
    usual = [found[0] for each in (*names, TEXT_COLUMNS) if (found := tables.usual_columns(candidates, each))]
    if len(usual) == 2:
        return sorted(usual, key=there.index)
    if len(candidates) == 2:
        return candidates
    listed = ", ".join(f"{name} (addresses)" if name in addresses else name for name in there)
    raise UserError(f"columns: say which two of {path} belong together, or take modality text; it has {listed}")


def _labels_by_column(column: pa.ChunkedArray, name: str, kept: Kept) -> Labels:
    words = list(tables.Texts(column, kept))
    classes, labels = by_name(words)
    return classes, labels if classes else f"its column {name!r} has none"


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
    """Files of the first modality of which there are any, each with a caption of the same name; or shards."""
    asked = folder_of(request)
    if asked is None:
        return None
    folder, name = asked
    if _has_shards(folder) and (samples := shard_set(request)) is not None:
        return _shards(samples, request)
    if described := _described(folder, request.read_options):
        return _table(request._replace(data=described, split=None), name)
    for modality in file_modalities().values():
        one, many = modality.nouns
        article = "an" if one[0] in "aeiou" else "a"
        media, unreadable = scan(folder, modality.suffixes, modality.recognises, f"{article} {one}")
        if media:
            break
    else:
        return None
    captions, unpaired = beside(folder, media, one)
    if not captions:
        raise UserError(
            f"{folder}: none of its {len(media):,} {many} has a caption that can be read: that of {media[0].id} "
            f"would be {caption_names(media[0].id)[0]}{CAPTIONS}; a table with two columns serves as well"
        )
    unpaired += [(printable(file), why) for file, why in unreadable]
    known = {file.id: file for file in media}
    each = _each_caption([(printable(file), file, found) for file, found in captions.items()])
    ids, files, texts = map(list, zip(*each, strict=True))
    columns = [Column(modality.name, modality.name, files), Column("caption", "text", texts)]
    labels, notes = folder_labelling(request, folder, [known[file] for file in files], many)
    notes += _captions_note([len(found) for found in captions.values()])
    return paired(Rows(name, columns, folder, ids=ids, unpaired=unpaired, labels=labels, notes=notes), request)


def _shards(samples: ShardSet, request: Request) -> PairSource:
    """The samples of shards that have captions: images, or recordings where there are more of these."""
    counts = samples.caption_counts
    captioned = {kind: rows[counts[rows] > 0] for kind in (IMAGE, AUDIO) if len(rows := samples.of(kind))}
    skipped = samples.listed("unpaired", "others", "unread")
    if not any(map(len, captioned.values())):
        first = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise UserError(f"{samples.name} holds no image or recording with a .txt or .json caption{first}")
    kind = max(captioned, key=lambda kind: len(captioned[kind]))
    one = load_modality(kind).nouns[0]
    skipped += [
        (samples.id(row), f"no {one}, as most samples are")
        for other, rows in captioned.items()
        if other != kind
        for row in rows.tolist()
    ]
    rows, asked = captioned[kind], request.read_options
    media: Source
    key = [*samples.shards, rows.tobytes()]
    if kind == IMAGE:
        images = ShardImages(samples, rows, size=asked.size, channels=asked.channels, range=asked.range)
        media = kept_once(images, key, progress=request.progress)
        places = np.arange(len(rows))
    else:
        sounds = ShardSounds(samples, rows, sample_rate=asked.sample_rate or usual_rate(samples, rows))
        media, places = kept_once(sounds, key, progress=request.progress), sounds.first_pieces
    each = np.repeat(np.arange(len(rows)), counts[rows])
    numbers = np.arange(len(each)) - np.searchsorted(each, each)
    captions = text.TextSource(Captions(samples, rows[each], numbers), name=samples.name, progress=request.progress)
    return PairSource(
        [Subset(media, torch.from_numpy(places[each]), name=samples.name), captions],
        [kind, "caption"],
        name=samples.name,
        ids=CaptionedIds(samples, rows[each], numbers),
        skipped=skipped,
        labels=samples.labels(rows[each]),
        notes=[*_captions_note(counts[rows].tolist()), *media.notes],
    )


def _each_caption(samples: Iterable[tuple[str, str, list[str]]]) -> list[tuple[str, str, str]]:
    """A row for each caption of each sample: (id, file, caption); the ids of several end in their number, `a.png#2`."""
    return [
        (f"{id}#{number}" if len(captions) > 1 else id, file, caption)
        for id, file, captions in samples
        for number, caption in enumerate(captions, start=1)
    ]


def _captions_note(counts: Sequence[int]) -> list[str]:
    """That samples have several captions; `counts` is how many each has."""
    several = sum(count > 1 for count in counts)
    if not several:
        return []
    samples = f"{several:,} of {count_of(len(counts), 'sample')} {'has' if several == 1 else 'have'} several captions"
    return [f"{samples}, one a line: each is a pair of its own, {sum(counts):,} pairs"]


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
