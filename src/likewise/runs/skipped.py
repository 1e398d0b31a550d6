"""skipped.csv: what could not be read of the data, with the reasons."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from likewise.atomic import write_text
from likewise.runs.files import check_file
from likewise.runs.part import RunPart

FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet calculates, and what has got quotes before it already."""


class Skipped(list[tuple[str, str]], RunPart):
    """(file, reason) of everything that is not a sample."""

    FILE: ClassVar[str] = "skipped.csv"

    def save(self, folder: Path) -> None:
        self.write(folder / self.FILE)

    def write(self, path: Path) -> None:
        """Replace a file outside a run folder, atomically."""
        write_text(path, csv_text([("file", "reason"), *self]))

    @classmethod
    def load(cls, folder: Path) -> Skipped:
        check_file(folder / cls.FILE)
        with (folder / cls.FILE).open(newline="", encoding="utf-8") as file:
            return cls((_as_it_was(row["file"]), _as_it_was(row["reason"])) for row in csv.DictReader(file))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as the text of a CSV file, which no spreadsheet calculates with."""
    text = io.StringIO()
    cells = [[no_formula(cell) for cell in row] for row in rows]
    # A carriage return ends a line for readers; only Python 3.13 and later quote it for itself.
    quoting: Any = csv.QUOTE_ALL if any("\r" in cell for row in cells for cell in row) else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(cells)
    return text.getvalue()


def no_formula(cell: str) -> str:
    """A cell that a spreadsheet takes for text: a quote before what would be a formula. A name may be anything."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def _as_it_was(cell: str | None) -> str:
    cell = cell or ""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
