"""labels.csv: labels that people give, in the columns `id` and `label`, as `likewise fit` takes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32

from likewise.atomic import telling_of_the_disk
from likewise.data.label_values import is_missing
from likewise.errors import UserError
from likewise.evaluation.predictions import safe_cell, write_rows
from likewise.runs.files import check_file

ID, LABEL = "id", "label"
LONGEST = 200
"""Letters of a label."""


class LabelFile:
    """Labels of samples, kept in a file that is replaced after each change.

    Other columns and rows of the file stay as they are. A file that another program changes meanwhile is not written
    over.

    Attributes:
        names: the labels that there are.
        given: of each sample the place of its label in `names`; -1 without one.

    Args:
        path: absent, or a table with the columns id and label.
        ids: of the samples.

    Raises:
        UserError: for a file that is no such table.
    """

    def __init__(self, path: Path, ids: Sequence[str]) -> None:
        self.path = path
        self.ids = ids
        self.names: list[str] = []
        self.given: Int32[np.ndarray, " n"] = np.full(len(ids), -1, dtype=np.int32)
        self._head = [ID, LABEL]
        self._rows: list[list[str]] = []
        self._changes: list[tuple[Int[np.ndarray, " m"], Int32[np.ndarray, " m"]]] = []
        if path.exists():
            self._head, self._rows = _read(path)
        self._label = self._head.index(LABEL)
        self._there = len(self._rows)
        place_of = self._head.index(ID)
        self._row_of = {row[place_of]: i for i, row in enumerate(self._rows)}
        self._seen = _signature(path)
        for place, id in enumerate(map(str, ids) if self._rows else ()):
            row = self._row(id)
            if row is not None and not is_missing(self._rows[row][self._label]):
                self.given[place] = self._number(self._rows[row][self._label])

    @property
    def undoable(self) -> int:
        """How many changes can be undone."""
        return len(self._changes)

    @property
    def unknown(self) -> int:
        """How many rows name none of the samples."""
        return self._there - len({self._row(str(id)) for id in self.ids} - {None}) if self._there else 0

    def give(self, places: Iterable[int], label: str) -> None:
        """Give a label to samples; an empty one takes theirs away.

        Raises:
            UserError: for a label that no table can hold, or a file that cannot be written. Nothing is changed then.
        """
        label = label.strip()
        if label:
            check_label(label)
        changed = np.unique(np.fromiter(places, dtype=np.int64))
        before = self.given[changed].copy()
        known = len(self.names)
        self._set(changed, np.full(len(changed), self._number(label) if label else -1, dtype=np.int32))
        try:
            self._write()
        except UserError:
            self._set(changed, before)
            del self.names[known:]
            raise
        self._changes.append((changed, before))

    def undo(self) -> None:
        """Take the last change back; nothing without one.

        Raises:
            UserError: for a file that cannot be written. Nothing is changed then.
        """
        if not self._changes:
            return
        changed, before = self._changes[-1]
        now = self.given[changed].copy()
        self._set(changed, before)
        try:
            self._write()
        except UserError:
            self._set(changed, now)
            raise
        self._changes.pop()

    def _number(self, label: str) -> int:
        if label not in self.names:
            self.names.append(label)
        return self.names.index(label)

    def _row(self, id: str) -> int | None:
        return self._row_of.get(id, self._row_of.get(safe_cell(id)))

    def _set(self, places: Int[np.ndarray, " m"], numbers: Int32[np.ndarray, " m"]) -> None:
        self.given[places] = numbers
        for place, number in zip(places.tolist(), numbers.tolist(), strict=True):
            id = str(self.ids[place])
            row = self._row(id)
            if row is None:
                row = self._row_of[id] = len(self._rows)
                cells = {ID: safe_cell(id)}
                self._rows.append([cells.get(name, "") for name in self._head])
            self._rows[row][self._label] = self.names[number] if number >= 0 else ""

    def _write(self) -> None:
        if _signature(self.path) != self._seen:
            raise UserError(f"{self.path} was changed by another program: end this one and begin again")
        # Rows without a label that were not there before are of changes that were undone.
        rows = [row for i, row in enumerate(self._rows) if i < self._there or row[self._label]]
        with telling_of_the_disk(self.path):
            write_rows(self.path, self._head, rows)
        self._seen = _signature(self.path)


def check_label(label: str) -> None:
    """Raise `UserError` for a label that would not be read as what it is."""
    if len(label) > LONGEST:
        raise UserError(f"label must have at most {LONGEST} letters, got {len(label):,}")
    if not label.isprintable():
        raise UserError(f"label must be one line of printable letters, got {label!r}")
    if is_missing(label):
        raise UserError(f"label must be a word, got {label!r}, which means that there is none")
    if safe_cell(label) != label:
        raise UserError(f"label must begin with a letter or a digit, got {label!r}, which a spreadsheet calculates")


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table."""
    try:
        check_file(path)
        text = path.read_bytes().decode("utf-8-sig")  # line ends as they are
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"labels: {path} can't be read as CSV: {error}: name another file with --labels") from error
    head, *rows = rows or [[ID, LABEL]]
    if not {ID, LABEL} <= set(head):
        raise UserError(
            f"labels must have the columns {ID} and {LABEL}, got {', '.join(head)[:200]} in {path}: name another file"
        )
    for line, row in enumerate(rows, start=2):
        if row and len(row) != len(head):
            raise UserError(f"labels: line {line:,} of {path} must have {len(head)} values, got {len(row)}")
    return head, [row for row in rows if row]


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when another program writes a file; None without a file."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns
