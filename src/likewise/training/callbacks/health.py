"""Monitors whether a training learns: on screen, and in the verdict of the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L

from likewise.console import plain, stderr_console
from likewise.distributed import is_first_process
from likewise.methods.base import Method, TrainingContext
from likewise.runs.verdict import Verdict
from likewise.training.callbacks.diagnostics import Diverged
from likewise.training.callbacks.history import HistoryLogger
from likewise.training.verdict import ENCODERS, HALVES, VIEWS, diagnose, diverged

MOST_STEPS = 500  # between two diagnoses: epochs may take days


class HealthMonitor(L.Callback):
    """Diagnoses the history at the end of each epoch, and reports when the verdict changes and at the end.

    Args:
        history: what was measured.
        folder: the run's, where the verdict is saved.
        chance: the figures where nothing is learned.
        context: of the training.
        show: whether to print.

    Attributes:
        method: the name of the method, for remedies.
        known_weights: whether the training went on from weights that were known.
        samples_problem: what is the matter with the training data, see `likewise.training.sample_check`.
    """

    def __init__(
        self, history: HistoryLogger, folder: Path, *, chance: dict[str, float], context: TrainingContext, show: bool
    ) -> None:
        self.history, self.folder, self.chance, self.show = history, folder, chance, show
        self.steps_per_epoch = context.steps_per_epoch
        self.every = min(context.steps_per_epoch, MOST_STEPS)
        self.verdict: Verdict | None = None
        self.method = ""
        self.known_weights = False
        self.samples_problem: str | None = None
        self._reported: str | None = None
        self._console = stderr_console()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step and trainer.global_step % self.every == 0 and is_first_process():
            self._report(self._diagnosed(pl_module), last=False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if is_first_process():
            self._report(self._diagnosed(pl_module), last=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Diverged) and is_first_process():
            self._report(diverged(trainer.global_step, self.steps_per_epoch), last=True)

    def _diagnosed(self, method: L.LightningModule) -> Verdict:
        """What is the matter with the data; else the general verdict or, where it raises no alarm, what the method
        reports of its own figures."""
        assert isinstance(method, Method)
        of = ENCODERS if method.two_encoders else HALVES if method.cross_modal else VIEWS
        verdict = diagnose(
            self.history.rows,
            self.chance,
            self.steps_per_epoch,
            of=of,
            method=self.method,
            known_weights=self.known_weights,
        )
        if self.samples_problem and verdict.kind != "diverging":
            step, epoch = verdict.step, verdict.epoch
            return Verdict("trivial", self.samples_problem, step=step, epoch=epoch)
        degenerate_solution = None if verdict.alarm else method.degenerate_solution(self.history.latest)
        return verdict if degenerate_solution is None else replace(verdict, kind="trivial", message=degenerate_solution)

    def _report(self, verdict: Verdict, *, last: bool) -> None:
        self.verdict = verdict
        verdict.save(self.folder)
        if self.show and (last or (verdict.kind != self._reported and (verdict.alarm or self._reported))):
            self._console.print(plain(verdict), highlight=False, soft_wrap=True)
        self._reported = verdict.kind if verdict.alarm or self._reported else None
