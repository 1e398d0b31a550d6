"""skipped.csv: what could not be read of the data, with the reasons."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

from likewise.atomic import write_text
from likewise.runs.part import RunPart


class Skipped(list[tuple[str, str]], RunPart):
    """(file, reason) of everything that is not a sample."""

    FILE: ClassVar[str] = "skipped.csv"

    def save(self, folder: Path) -> None:
        self.write(folder / self.FILE)

    def write(self, path: Path) -> None:
        """Replace a file outside a run folder, atomically."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *self])
        write_text(path, text.getvalue())

    @classmethod
    def load(cls, folder: Path) -> Skipped:
        with (folder / cls.FILE).open(newline="", encoding="utf-8") as file:
            return cls((row["file"], row["reason"]) for row in csv.DictReader(file))
