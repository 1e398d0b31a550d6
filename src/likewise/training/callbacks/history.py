"""The history of a training: metrics.csv, one row a logged step."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from likewise.atomic import write_text


class History(Logger):
    """Metrics as rows of a CSV file that grows by appending and goes on after a resume.

    What is logged of the last step again joins its row.

    Args:
        path: the file.
        steps_per_epoch: turns steps into the column `epoch`.
        step: what was logged from this step on is dropped; a resumed training logs it again.
    """

    def __init__(self, path: Path, *, steps_per_epoch: int, step: int) -> None:
        super().__init__()
        self.path = path
        self.steps_per_epoch = steps_per_epoch
        self.columns = ["step", "epoch"]
        self.latest: dict[str, float] = {}
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self.rows = [row for row in read_history(path) if row["step"] < step]
            for row in self.rows:
                self.columns += [name for name in row if name not in self.columns]
        self._rewrite()

    @property
    def name(self) -> str:
        return "history"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The recipe is in config.json."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        self.latest |= values
        if not (self.rows and self.rows[-1]["step"] == step):
            self.rows.append({"step": step, "epoch": round(((step or 0) + 1) / self.steps_per_epoch, 4)})
            self._last_row = self.path.stat().st_size
        self.rows[-1] |= values
        if self._extend(values):
            self._rewrite()
        else:
            with self.path.open("r+", newline="", encoding="utf-8") as file:
                file.seek(self._last_row)
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(self.rows[-1])
                file.truncate()

    def _extend(self, values: dict[str, float]) -> bool:
        new = [name for name in values if name not in self.columns]
        self.columns += new
        return bool(new)

    @rank_zero_only
    def _rewrite(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows[:-1])
        self._last_row = len(text.getvalue())  # characters are bytes: names and numbers
        writer.writerows(self.rows[-1:])
        write_text(self.path, text.getvalue())


def read_history(path: Path) -> list[dict[str, Any]]:
    """Rows of metrics.csv with numbers as numbers; what was not logged in a row is absent from it."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row | {"step": int(row["step"])} for row in rows]
