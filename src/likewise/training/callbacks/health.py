"""Says while a training runs whether it learns: on screen, and in the run's verdict.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L

from likewise.console import stderr_console
from likewise.methods.base import Method, TrainingContext
from likewise.runs.verdict import Verdict
from likewise.training.callbacks.diagnostics import Diverged
from likewise.training.callbacks.history import HistoryLogger
from likewise.training.verdict import HALVES, VIEWS, diagnose, diverged

MOST_STEPS = 500  # between two looks: nobody should wait for the end of a day-long epoch


class HealthMonitor(L.Callback):
    """Look at the history at the end of each epoch, speak when the verdict changes, and once at the end.

    Args:
        history: what was measured.
        folder: the run's, where the verdict is kept.
        chance: what the figures would be if nothing was learned.
        context: of the training.
        show: whether to speak.
    """

    def __init__(
        self, history: HistoryLogger, folder: Path, *, chance: dict[str, float], context: TrainingContext, show: bool
    ) -> None:
        self.history, self.folder, self.chance, self.show = history, folder, chance, show
        self.steps_per_epoch = context.steps_per_epoch
        self.every = min(context.steps_per_epoch, MOST_STEPS)
        self.verdict: Verdict | None = None
        self._spoken: str | None = None
        self._console = stderr_console()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step and trainer.global_step % self.every == 0 and trainer.is_global_zero:
            self._settle(self._judged(pl_module), last=False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._settle(self._judged(pl_module), last=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Diverged) and trainer.is_global_zero:
            self._settle(diverged(trainer.global_step, self.steps_per_epoch), last=True)

    def _judged(self, method: L.LightningModule) -> Verdict:
        """What the figures say of any method or, where they raise no alarm, what the method itself says of them."""
        assert isinstance(method, Method)
        verdict = diagnose(
            self.history.rows, self.chance, self.steps_per_epoch, of=HALVES if method.cross_modal else VIEWS
        )
        degenerate_solution = None if verdict.alarm else method.degenerate_solution(self.history.latest)
        return verdict if degenerate_solution is None else replace(verdict, kind="trivial", message=degenerate_solution)

    def _settle(self, verdict: Verdict, *, last: bool) -> None:
        self.verdict = verdict
        verdict.save(self.folder)
        if self.show and (last or (verdict.kind != self._spoken and (verdict.alarm or self._spoken))):
            self._console.print(str(verdict), highlight=False, soft_wrap=True, markup=False)
        self._spoken = verdict.kind if verdict.alarm or self._spoken else None
