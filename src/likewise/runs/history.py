"""metrics.csv: what was measured in each logged step."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from likewise.atomic import write_text
from likewise.runs.files import check_file
from likewise.runs.part import RunPart


class History(RunPart):
    """Measurements by step, in the order of the steps.

    Attributes:
        rows: one a logged step: "step", counted from 0, "epoch", and every metric that was logged in it, as numbers.
        names: of the columns: "step", "epoch", then the metrics as they were first logged.
    """

    FILE: ClassVar[str] = "metrics.csv"

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.rows: list[dict[str, Any]] = [dict(row) for row in rows]
        self.names = list(dict.fromkeys(["step", "epoch", *(name for row in self.rows for name in row)]))
        self._last_row = 0  # where it begins in the file, in bytes

    def column(self, name: str) -> list[float]:
        """One value a row; NaN where it was not logged."""
        return [float(row.get(name, math.nan)) for row in self.rows]

    def log(self, folder: Path, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Add measurements of a step to the file, which `save` has written; those of the last step join its row.

        Only the last row is written anew, unless there is a new column.
        """
        path = folder / self.FILE
        if not (self.rows and self.rows[-1]["step"] == step):
            self.rows.append({"step": step, "epoch": epoch})
            self._last_row = path.stat().st_size
        self.rows[-1] |= values
        if new := [name for name in values if name not in self.names]:
            self.names += new
            self.save(folder)
            return
        with path.open("r+", newline="", encoding="utf-8") as file:
            file.seek(self._last_row)
            csv.DictWriter(file, self.names, lineterminator="\n").writerow(self.rows[-1])
            file.truncate()

    def save(self, folder: Path) -> None:
        """Write the whole file, atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows[:-1])
        self._last_row = len(text.getvalue())  # characters are bytes: names and numbers
        writer.writerows(self.rows[-1:])
        write_text(folder / self.FILE, text.getvalue())

    @classmethod
    def load(cls, folder: Path) -> History:
        """The rows of the file; a cell that is no number is absent, such as in the last row of a running training."""
        check_file(folder / cls.FILE)
        with (folder / cls.FILE).open(newline="", encoding="utf-8") as file:
            rows = [
                {name: number for name, text in row.items() if (number := _number(text)) is not None}
                for row in csv.DictReader(file)
            ]
        return cls(row | {"step": int(row["step"])} for row in rows if math.isfinite(row.get("step", math.nan)))


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
