"""skipped.csv: what could not be read of the data, with the reasons."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import ClassVar

from likewise.atomic import write_text
from likewise.runs.files import check_file
from likewise.runs.part import RunPart


class Skipped(list[tuple[str, str]], RunPart):
    """(file, reason) of everything that is not a sample."""

    FILE: ClassVar[str] = "skipped.csv"

    def save(self, folder: Path) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("file", "reason"), *self])
        write_text(folder / self.FILE, text.getvalue())

    @classmethod
    def load(cls, folder: Path) -> Skipped:
        check_file(folder / cls.FILE)
        with (folder / cls.FILE).open(newline="", encoding="utf-8") as file:
            return cls((row["file"] or "", row["reason"] or "") for row in csv.DictReader(file))
