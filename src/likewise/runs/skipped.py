"""skipped.csv: what could not be read of the data, with the reasons."""

from __future__ import annotations

import csv
import io
import re
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
        text = io.StringIO()
        rows = [(no_formula(file), no_formula(reason)) for file, reason in self]
        # A carriage return ends a line for readers; only Python 3.13 and later quote it for itself.
        quoting: Any = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
        csv.writer(text, lineterminator="\n", quoting=quoting).writerows([("file", "reason"), *rows])
        write_text(path, text.getvalue())

    @classmethod
    def load(cls, folder: Path) -> Skipped:
        check_file(folder / cls.FILE)
        with (folder / cls.FILE).open(newline="", encoding="utf-8") as file:
            return cls((_as_it_was(row["file"]), _as_it_was(row["reason"])) for row in csv.DictReader(file))


def no_formula(cell: str) -> str:
    """A cell that a spreadsheet takes for text: a quote before what would be a formula. A name may be anything."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def _as_it_was(cell: str | None) -> str:
    cell = cell or ""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
