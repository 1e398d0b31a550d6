"""The history of a training, written as Lightning logs it: metrics.csv, one row a logged step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from likewise.runs.history import History


class HistoryLogger(Logger):
    """Metrics as rows of a CSV file that grows by appending and goes on after a resume.

    What is logged of the last step again joins its row.

    Args:
        folder: the run's.
        steps_per_epoch: turns steps into the column `epoch`.
        step: what was logged from this step on is dropped; a resumed training logs it again.

    Attributes:
        latest: the last value of every metric.
    """

    def __init__(self, folder: Path, *, steps_per_epoch: int, step: int) -> None:
        super().__init__()
        self.folder = folder
        self.steps_per_epoch = steps_per_epoch
        self.latest: dict[str, float] = {}
        kept = History.load(folder).rows if (folder / History.FILE).exists() else []
        self.history = History(row for row in kept if row["step"] < step)
        self._begin()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was logged so far, by step."""
        return self.history.rows

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
        step = step or 0
        self.history.log(self.folder, step, round((step + 1) / self.steps_per_epoch, 4), values)

    @rank_zero_only
    def _begin(self) -> None:
        self.history.save(self.folder)
