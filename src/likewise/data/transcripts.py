"""What is said in recordings: tables that name files and have a column of transcripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.data import tables
from likewise.data.file_tables import NAMED, KnownFiles, column_that_names
from likewise.data.resolve import resolve
from likewise.data.source import Source
from likewise.data.split_folders import split_folder
from likewise.errors import UserError

COLUMNS = ("transcript", "transcription", "transcripts", "transcriptions", "sentence", "utterance", "text", "words")
"""Usual names of a column of transcripts, the most usual first."""
APOSTROPHES = {"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MODIFIER LETTER APOSTROPHE}": "'"}


class Transcripts(NamedTuple):
    """What a table says of the recordings of some sources."""

    texts: list[list[str | None]]
    """Of each source, for each of its samples: what is said, normalized; None where the table does not name it."""
    notes: list[str]


def normalize(text: str) -> str:
    """A transcript as it is compared: lower case, without punctuation and symbols, one space between words.

    An apostrophe within a word stays. Of letters and marks the composed forms are taken (NFKC).
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = "".join(APOSTROPHES.get(letter, letter) for letter in text)
    kept = [letter if letter == "'" or unicodedata.category(letter)[0] in "LMN" else " " for letter in text]
    return " ".join(word for part in "".join(kept).split() if (word := part.strip("'")))


def root_of(data: Any) -> Path:
    """The folder from which the ids of the recordings of `data` are paths."""
    found, split = resolve(data)
    if not isinstance(found, Path):
        return Path()
    if not found.is_dir():
        return found.parent
    return (split_folder(found, split) if split else None) or found


def read_transcripts(path: Path, data: Sequence[tuple[Path, Source]], text_column: str | None) -> Transcripts:
    """The transcripts of recordings in a table, which names files by paths, names, or names without their endings.

    Args:
        path: of the table.
        data: sources of recordings, each with the folder from which its ids are paths.
        text_column: of the transcripts; None: one with a usual name, or the only one beside that of the files.

    Raises:
        UserError: for what is no such table, names no file of `data`, could mean several files, or has two transcripts
            of one.
    """
    if path.suffix.lower() not in tables.SUFFIXES:
        ends = " ".join(tables.SUFFIXES)
        raise UserError(f"transcripts must be a table of files and what is said in them ({ends}), got {path}")
    table = tables.read_table(path)
    there = table.column_names
    files_of = [_files(source) for _, source in data]
    known = [KnownFiles(root, dict.fromkeys(files)) for (root, _), files in zip(data, files_of, strict=True)]
    text = _text_column(there, text_column, path)
    others = table.drop_columns([text]) if text is not None else table
    found = [column_that_names(others, each, path, least=0.0) for each in known]
    column = next((name for name in found if name is not None), None)
    if column is None:
        first = next(iter(tables.Texts(tables.text_of(table, there[0], where=path))), "")
        raise UserError(
            f"transcripts: no row of {path} names a file of {' or '.join(source.name for _, source in data)} (its "
            f"column {there[0]!r} begins with {first[:60]!r}): name the recordings by their paths or their names"
        )
    if text is None:
        rest = [name for name in there if name != column]
        if len(rest) != 1:
            listed = ", ".join(rest) or "none"
            raise UserError(f"text_column: say which column of {path} has the transcripts; it has {listed}")
        text = rest[0]
    said: list[dict[str, str]] = [{} for _ in data]
    unknown = []
    rows = [list(tables.Texts(tables.text_of(table, name, where=path))) for name in (column, text)]
    for row, (file, words) in enumerate(zip(*rows, strict=True), start=1):
        places = [each.find(file, path.parent) for each in known]
        if not any(places):
            unknown.append(f"row {row:,} {file[:60]!r}")
        for texts, place in zip(said, places, strict=True):
            if len(place) > 1:
                raise UserError(
                    f"{path}: row {row:,} says {file!r}, which could be {' or '.join(place[:2])}: give its path"
                )
            if place and texts.setdefault(place[0], normalize(words)) != normalize(words):
                raise UserError(
                    f"{path}: row {row:,} gives {place[0]} the transcript {words[:60]!r}, an earlier one "
                    f"{texts[place[0]][:60]!r}"
                )
    notes = [f"transcripts are column {text!r} of {path.name}, which names the recordings in column {column!r}"]
    if unknown:
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        verb = "names" if len(unknown) == 1 else "name"
        listed = ", ".join(unknown[:NAMED])
        notes.append(
            f"{len(unknown):,} of {len(rows[0]):,} rows of {path.name} {verb} no file of the data: {listed}{more}"
        )
    return Transcripts(
        [[texts.get(file) for file in files] for texts, files in zip(said, files_of, strict=True)], notes
    )


def pieces(source: Source) -> list[bool]:
    """Whether each sample is a piece of a recording that was cut."""
    if source.groups is None:
        return [False] * len(source)
    return (source.groups.bincount()[source.groups] > 1).tolist()


def _files(source: Source) -> list[str]:
    """The file of each sample; a piece is called `file.wav#30s`."""
    cut = zip(source.ids, pieces(source), strict=True)
    return [name.rpartition("#")[0] if piece else name for name, piece in cut]


def _text_column(columns: list[str], asked: str | None, path: Path) -> str | None:
    """The column of transcripts that is asked for, or the first with a usual name; None without one."""
    if asked is not None:
        return tables.column_named(asked, columns, where=path, option="text_column")
    return next(iter(tables.usual_columns(columns, COLUMNS)), None)
