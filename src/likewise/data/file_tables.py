"""Tables that name files: what their rows are about, and which label each has."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from likewise.data import tables
from likewise.data.files import File, Recognises, is_recognised, no_file, printable, walk
from likewise.data.label_values import ROWS_NEED
from likewise.data.labelling import Labelling, by_words
from likewise.data.pictures import reason
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.errors import UserError

SAMPLED = 256
TEXTS = ("text", "document", "sentence", "description", "content", "body", "abstract", "review", "caption")
"""Columns that hold texts: their values name no files, and where there is one, no paths are guessed."""
NAMED = 3  # rows that a note names


class FileRows(NamedTuple):
    """The rows of a table of files."""

    folder: Path
    """Where paths start."""
    files: list[File]
    missing: list[tuple[str, str]]
    """(row or path, reason) of the rows that name no file."""
    labelling: Labelling
    notes: list[str]


class KnownFiles:
    """Files by the ends of their paths: a table names them by path, by name, or by name without the ending.

    Args:
        root: the folder that they lie in.
        ids: their paths from there, with "/".
    """

    def __init__(self, root: Path, ids: Iterable[str]) -> None:
        self.root = root.absolute()
        self.above = {self.root.parts, root.resolve().parts}
        self.by_name: defaultdict[str, list[str]] = defaultdict(list)
        self.by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for each in ids:
            name = each.rpartition("/")[2]
            self.by_name[name].append(each)
            self.by_stem[name.rpartition(".")[0] or name].append(each)

    def find(self, value: str, start: Path) -> list[str]:
        """The files that a value means, none or one; several where it does not tell.

        Args:
            start: the folder of the table: a path from there is meant first, then one from `root`.
        """
        value = value.strip().replace("\\", "/")
        if ".." in value.split("/"):
            value = os.path.normpath(start.absolute() / value)
        parts = tuple(part for part in value.split("/") if part not in ("", "."))
        if not parts:
            return []
        for known in (self.by_name, self.by_stem):
            same = known.get(parts[-1], [])
            found = [each for each in same if self._lies_in(each, parts[:-1], value.startswith("/"))]
            for above in (start.absolute(), self.root):
                wanted = (*above.parts, *parts[:-1])
                if exact := [each for each in found if (*self.root.parts, *each.split("/")[:-1]) == wanted]:
                    return exact
            if found:
                return found
        # `likewise suggest` writes a quote before a name that a spreadsheet would calculate.
        return self.find(value[1:], start) if value.startswith("'") else []

    def _lies_in(self, path: str, folders: tuple[str, ...], absolute: bool) -> bool:
        """Whether these folders are all of a path, or the last ones, but for the name."""
        for above in self.above:
            there = (*above, *path.split("/")[:-1])
            if there[1:] == folders if absolute else there[len(there) - len(folders) :] == folders:
                return True
        return False


def file_rows(request: Request, suffixes: tuple[str, ...], recognises: Recognises, things: str) -> FileRows | None:
    """The rows of a table whose first column of paths of such files this is; None for any other data.

    Paths start where the table lies. Where no column has paths with these endings, one may have paths of files of
    unknown endings, or of none, with such content, or name files that lie beside the table or in a folder there,
    without their endings. A path that leads nowhere is looked for in the same places.

    Args:
        suffixes: what the files end in, in lower case.
        recognises: whether the content of a file of another ending, or of none, is such a sample.
        things: what they hold, in the plural.

    Raises:
        UserError: where such files are asked for and there are none.
    """
    path, read_options = request.data, request.read_options
    if not tables.is_table(path) or read_options.columns is not None or read_options.text_column is not None:
        return None
    if tables.holds_files(path):
        return None
    table = tables.read_table(path)
    there = table.column_names
    addresses = tables.addresses(table)
    texts = [name for name in tables.text_columns(table) if name not in addresses]
    column = next((name for name in texts if tables.mostly(table[name], lambda value: value.endswith(suffixes))), None)
    may_guess = read_options.modality is not None or not tables.usual_columns(there, TEXTS)
    if column is None and may_guess:
        column = next((name for name in texts if _are_recognised(table[name], path.parent, recognises)), None)
    if column is None and may_guess:
        some = (value for name in _columns_that_may_name(table) for value in _some(table[name]))
        column = column_that_names(table, files_near(path, suffixes, _last_parts(some), recognises), path, least=0.5)
    if column is None and read_options.modality is None:
        return None
    if column is None:
        raise UserError(
            f"{path} has no column of {things}, whose values end in {' '.join(suffixes)}; it has {', '.join(there)}"
        )
    if request.split is not None:
        raise UserError(f"{path} is one file and has no split {request.split!r}")
    if column.lower().endswith(suffixes):
        raise UserError(f"{path} must name its columns in its first line, such as file,label, got {column!r}")
    label, notes = tables.label_column(there, read_options, where=path, taken=(column,))
    if len(there) > 1:
        labels = f"labels are column {label!r}" if label else "without labels"
        notes.append(f"{things} are column {column!r}, {labels}")
    files, rows, missing = [], [], []
    values = list(tables.Texts(tables.text_of(table, column, where=path)))
    near: KnownFiles | None = None
    for row, value in enumerate(values):
        if not value.strip():
            missing.append((f"row {row + 1:,}", "no path"))
            continue
        found = _file_at(path.parent, value)
        if not isinstance(found, File):
            near = near or files_near(path, suffixes, _last_parts(values), recognises)
            known = near.find(value, path.parent)
            if len(known) == 1:
                found = _file_at(path.parent, known[0])
            elif known:
                found = f"could be {' or '.join(known[:2])}: give its path from {path.parent}"
        if isinstance(found, File):
            files.append(found)
            rows.append(row)
        else:
            missing.append((printable(value), found))
    if not files:
        file, why = missing[0]
        raise UserError(f"{path}: none of its {len(values):,} {things} can be read ({file}: {why})")
    why_none = f"{path} gives no labels: " + (ROWS_NEED if label is None else f"its column {label!r} has none")
    words = [""] * len(rows)
    if label is not None:
        words = list(tables.Texts(tables.text_of(table, label, where=path), np.array(rows)))
    return FileRows(path.parent, files, missing, partial(by_words, words, why_none), notes)


def paths_near(path: Path, values: Sequence[str], modality: Any) -> list[str] | None:
    """The paths that values of a table mean: see `file_rows`. None where most of them name no files of a modality.

    A value that names none, or could mean several, stays what it is. Of a file without a usual ending, that is named as
    a whole, the content decides.
    """
    near = files_near(path, modality.suffixes, _last_parts(values), modality.recognises)
    spread = np.unique(np.linspace(0, len(values) - 1, min(SAMPLED, len(values))).astype(int)).tolist()
    some = [values[i] for i in spread]
    if 2 * sum(bool(near.find(each, path.parent)) or _is_one(path.parent, each, modality) for each in some) <= len(
        some
    ):
        return None
    found = []
    for value in values:
        known = [] if isinstance(_file_at(path.parent, value), File) else near.find(value, path.parent)
        found.append(known[0] if len(known) == 1 else value)
    return found


def files_near(
    path: Path, suffixes: tuple[str, ...], names: Container[str] = (), recognises: Recognises | None = None
) -> KnownFiles:
    """The files that end like this beside a table, or in a folder there; of others those of these names, if recognised.

    Args:
        names: of files whose content may be looked into.
    """
    found = []

    def is_one(entry: Path) -> bool:
        if entry.name.lower().endswith(suffixes):
            return True
        return recognises is not None and entry.name in names and is_recognised(entry, recognises)

    for prefix in ("", *sorted(f"{folder.name}/" for folder in _entries(path.parent) if folder.is_dir())):
        found += [
            prefix + entry.name
            for entry in sorted(_entries(path.parent / prefix))
            if not entry.name.startswith(".") and is_one(entry)
        ]
    return KnownFiles(path.parent, found)


def _is_one(folder: Path, value: str, modality: Any) -> bool:
    return bool(value.strip()) and is_recognised(folder / value, modality.recognises)


def _are_recognised(column: pa.ChunkedArray, folder: Path, recognises: Recognises) -> bool:
    """Whether more than half of some values are paths of files of unknown endings, with such content."""
    values = [value for value in _some(column) if value.strip()]
    return 2 * sum(is_recognised(folder / value, recognises) for value in values) > len(values)


def _last_parts(values: Iterable[str]) -> set[str]:
    """The names of the files that values could mean."""
    return {value.strip().replace("\\", "/").rpartition("/")[2] for value in values}


def _some(column: pa.ChunkedArray) -> list[str]:
    """Up to 256 values of a column, spread over it, less those that are empty."""
    spread = np.unique(np.linspace(0, len(column) - 1, min(SAMPLED, len(column))).astype(int))
    return [value for value in column.take(pa.array(spread)).cast(pa.string()).to_pylist() if value]


def _columns_that_may_name(table: pa.Table) -> list[str]:
    """The columns of texts or whole numbers that have no usual name of another kind of column."""
    others = tables.usual_columns(table.column_names, (*tables.LABELS, *TEXTS))
    kinds = {name: table.schema.field(name).type for name in table.column_names if name not in others}
    return [name for name, kind in kinds.items() if tables.is_text(kind) or pa.types.is_integer(kind)]


def labels_of_files(
    paths: Sequence[Path], request: Request, folder: Path, names: Sequence[str], things: str
) -> tuple[list[str] | None, list[str]]:
    """What tables say of files: the label of each of them, "" for one without; None where no table has labels.

    A row names a file by its path or the end of it, with or without its ending.

    Args:
        paths: the tables; those that lie in the folder of the files need not have labels.
        request: for the folder that holds the files, of which a split may be read.
        folder: where `names` start.
        names: of the files.
        things: what the files hold.

    Raises:
        UserError: where a row could mean several files, two rows give one file different labels, or no row names one.
    """
    root: Path = request.data
    below = "" if folder == root else f"{printable(folder.relative_to(root).as_posix())}/"
    endings = tuple({f".{name.rpartition('.')[2]}".lower() for name in names if "." in name})
    others = [] if folder == root else [printable(each) for each, _ in walk(root, endings, [])]
    known = KnownFiles(root, dict.fromkeys([*(below + name for name in names), *others]))
    labels: dict[str, str] = {}
    notes: list[str] = []
    labelled = False
    for path in paths:
        found, told = _labels_in(path, request.read_options, known, root, things)
        notes += told
        labelled = labelled or found is not None
        for name, label in (found or {}).items():
            if labels.setdefault(name, label) != label:
                raise UserError(f"{path}: {name} has the label {label!r}, and {labels[name]!r} in another table")
    if not labelled:
        return None, notes
    return [labels.get(below + name, "") for name in names], notes


def _labels_in(
    path: Path, read_options: ReadOptions, known: KnownFiles, root: Path, things: str
) -> tuple[dict[str, str] | None, list[str]]:
    """The label of each file that a table names; None where it has no labels, which one in the folder need not have."""
    asked = read_options.labels is not None
    if path.suffix.lower() not in tables.SUFFIXES:
        raise UserError(f"labels must be a table of files and labels ({' '.join(tables.SUFFIXES)}), got {path}")
    table = tables.read_table(path)
    there = table.column_names
    if named := [name for name in there if "." in name and known.find(name, path.parent)]:
        raise UserError(f"{path} must name its columns in its first line, such as file,label, got {named[0]!r}")
    column = column_that_names(table, known, path, least=0.0)
    if column is None:
        if not asked:
            return None, [f"{path.name} is not used: none of its columns names {things} of {root}"]
        first = next(iter(tables.Texts(tables.text_of(table, there[0], where=path))), "")
        raise UserError(
            f"labels: no row of {path} names a file of {root} (its column {there[0]!r} begins with {first[:60]!r}): "
            f"name {things} by their paths from there"
        )
    label, notes = tables.label_column(there, read_options, where=path, taken=(column,))
    others = [name for name in there if name != column]
    if label is None and asked and len(others) == 1:
        label = others[0]
    if label is None and asked:
        raise UserError(
            f"label_column: say which column of {path} has the labels; it has {', '.join(others) or 'none'}"
        )
    if label == column:
        raise UserError(f"label_column must be another column of {path} than {column!r}, which names the files")
    if label is None:
        return None, [*notes, f"{path.name} has no column of labels: name it with label_column"]
    labels: dict[str, str] = {}
    unknown = []
    files, words = (list(tables.Texts(tables.text_of(table, name, where=path))) for name in (column, label))
    for row, (file, word) in enumerate(zip(files, words, strict=True), start=1):
        found = known.find(file, path.parent)
        if len(found) > 1:
            raise UserError(
                f"{path}: row {row:,} says {file!r}, which could be {' or '.join(found[:2])}: give its path from {root}"
            )
        if not found:
            unknown.append(f"row {row:,} {file[:60]!r}")
        elif labels.setdefault(found[0], word) != word:
            raise UserError(
                f"{path}: row {row:,} gives {found[0]} the label {word!r}, an earlier one {labels[found[0]]!r}"
            )
    notes.append(f"labels are column {label!r} of {path.name}, which names the {things} in column {column!r}")
    if unknown:
        more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
        count = f"{len(unknown):,} of {len(files):,} rows of {path.name} {'names' if len(unknown) == 1 else 'name'}"
        notes.append(f"{count} no file of {printable(root.name)}: {', '.join(unknown[:NAMED])}{more}")
    return labels, notes


def column_that_names(table: pa.Table, known: KnownFiles, path: Path, *, least: float) -> str | None:
    """The column whose values name the most different files; None where that is `least` of the values or below.

    A number can be the name of a file, and also an age or a class: these repeat, and so name fewer files.
    """
    best: tuple[int, str | None] = (0, None)
    for name in _columns_that_may_name(table):
        values = set(_some(table[name]))
        found = len({tuple(known.find(value, path.parent)) for value in values} - {()})
        if found > max(best[0], least * len(values)):
            best = found, name
    return best[1]


def _file_at(folder: Path, path: str) -> File | str:
    """The file at a path, or why there is none."""
    try:
        stat = (folder / path).stat()
    except (OSError, ValueError) as error:
        return reason(error)
    return no_file(stat) or File.of(path, stat)


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []
