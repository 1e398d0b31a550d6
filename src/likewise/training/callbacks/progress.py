"""Progress on stderr: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from likewise.console import plain, printable, stderr_console, tell
from likewise.distributed import is_first_process
from likewise.methods.base import Method
from likewise.training.callbacks.health import HealthMonitor
from likewise.training.callbacks.history import HistoryLogger

LINE_EVERY = 15.0  # seconds between the lines of a log
SHOWN = (("loss", "loss", ".3f"), ("top1", "top-1", ".1%"), ("probe", "probe", ".1%"))


class ProgressLine(L.Callback):
    """Shows the loss beside chance, the accuracies of pair matching and probe, samples a second, and the time left.

    Logs `samples_per_second`, and counts `seconds` over all processes of a training, from the first to the last.
    """

    def __init__(
        self, history: HistoryLogger, health: HealthMonitor, *, batch_size: int, steps: int, show: bool
    ) -> None:
        self.history, self.health, self.batch_size, self.steps, self.show = history, health, batch_size, steps, show
        self._console = stderr_console()
        self._bar: Progress | None = None
        self._spoke = 0.0
        self._start = self._done = 0
        self._before = 0.0
        self.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = self.seconds = state_dict["seconds"]

    @property
    def samples_per_second(self) -> float:
        """Over the whole training, starting costs left out."""
        return self._done * self.batch_size / max(self.seconds, 1e-9)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = self._done = trainer.global_step
        self._began = time.monotonic()
        self._spoke = self._began
        assert isinstance(pl_module, Method)
        self._sizes = pl_module.training_context.sizes
        if self.show and is_first_process() and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}", markup=False),
                TextColumn("{task.fields[left]} left", markup=False),
                console=self._console,
                refresh_per_second=4,
            )
            self._task = self._bar.add_task(
                "training", total=self.steps, completed=self._start, figures="", left="-:--"
            )
            self._bar.start()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        step, now = trainer.global_step, time.monotonic()
        self._done, self.seconds = step, self._before + now - self._began
        pl_module.log("samples_per_second", self.samples_per_second)
        if not (self.show and is_first_process()):
            return
        if self._bar:
            self._bar.update(self._task, completed=step, figures=self._figures(), left=_clock(self._left(now)))
        elif now - self._spoke >= LINE_EVERY or step == self.steps:
            self._spoke = now
            self._console.print(
                plain(f"step {step}/{self.steps}  {self._figures()}  {_clock(self._left(now))} left"),
                highlight=False,
                soft_wrap=True,
            )

    def _left(self, now: float) -> float:
        """Seconds to the end, if the rest is as fast as what was done; larger views take longer."""
        begun, done, all_steps = (
            step if self._sizes is None else self._sizes.pixels(step) for step in (self._start, self._done, self.steps)
        )
        return (all_steps - done) * (now - self._began) / max(1, done - begun)

    def _figures(self) -> str:
        latest, chance, verdict = self.history.latest, self.health.chance, self.health.verdict
        words = [f"{name} {latest[key]:{form}}" for key, name, form in SHOWN if key in latest]
        if "loss" in latest and "loss" in chance:
            words[0] += f" (chance {chance['loss']:.3f})"
        if verdict is not None and verdict.alarm:
            words += [f"spread {latest['spread']:.2f}"] if "spread" in latest else []
            words.append(verdict.kind)
        return "  ".join([*words, f"{self.samples_per_second:,.0f} samples/s"])

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


@contextmanager
def progress_bar(*, show: bool) -> Iterator[Callable[[int, int, str], None]]:
    """What to call with (done, total, what is being done) while something long goes on."""
    if not show:
        yield lambda done, total, doing: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=stderr_console(), transient=True) as bar:
            task = bar.add_task("")
            yield lambda done, total, doing: bar.update(task, completed=done, total=total, description=printable(doing))
    else:
        began = spoke = time.monotonic()

        def speak(done: int, total: int, doing: str) -> None:
            nonlocal spoke
            now = time.monotonic()
            if now - spoke >= LINE_EVERY and done:
                spoke = now
                left = (total - done) * (now - began) / done
                tell(f"{done / total:.0%}  {doing}  {_clock(left)} left")

        yield speak


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
