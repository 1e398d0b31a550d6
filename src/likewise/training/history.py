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
    """Lightning's metrics as rows of a CSV file that grows by appending and goes on after a resume.

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
        self._rows: list[dict[str, Any]] = []
        if path.exists():
            self._rows = [row for row in read_history(path) if row["step"] < step]
            for row in self._rows:
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
        if self._rows and self._rows[-1]["step"] == step:
            self._rows[-1] |= values
            self._extend(values)
            self._rewrite()
            return
        row = {"step": step, "epoch": round(((step or 0) + 1) / self.steps_per_epoch, 4)} | values
        self._rows.append(row)
        if self._extend(values):
            self._rewrite()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)

    def _extend(self, values: dict[str, float]) -> bool:
        new = [name for name in values if name not in self.columns]
        self.columns += new
        return bool(new)

    @rank_zero_only
    def _rewrite(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self.path, text.getvalue())


def read_history(path: Path) -> list[dict[str, Any]]:
    """Rows of metrics.csv with numbers as numbers; what was not logged in a row is absent from it."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [row | {"step": int(row["step"])} for row in rows]
