"""What happens beside the training of an agent: evaluations, checkpoints, progress, and its end before its time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from likewise.agents.checkpoint import save_checkpoint
from likewise.agents.environment import PixelObservations
from likewise.agents.evaluation import greedy, returns_of
from likewise.agents.folder import CHECKPOINT, EvaluationRow, Returns, save_returns
from likewise.agents.learners import PixelDQN, PixelSAC
from likewise.console import tell

EVALUATIONS = 20
"""Of a training; another one before its first step."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE = 3
"""So many Ctrl-C end the step itself; what was done since the last checkpoint is then lost."""


class AgentWatch(BaseCallback):
    """Looks after a training between its steps. Checkpoints, and an early end, come between two episodes.

    Attributes:
        asked: whether a signal asked for the end.
        done: the steps that the agent has learned from.
    """

    def __init__(
        self,
        folder: Path,
        env: PixelObservations,
        evaluation_env: PixelObservations,
        returns: Returns,
        *,
        steps: int,
        episodes: int,
        deadline: float | None,
        checkpoint_minutes: float,
        report: Callable[[int, int, str], None],
        writer: Any,
        show: bool,
    ) -> None:
        super().__init__()
        self.folder, self.env, self.evaluation_env, self.returns = folder, env, evaluation_env, returns
        self.steps, self.episodes, self.deadline = steps, episodes, deadline
        self.checkpoint_seconds, self.report, self.writer, self.show = checkpoint_minutes * 60, report, writer, show
        self.asked = self.ended = False
        self.done = 0
        self._interrupts = 0
        self._before = returns["evaluations"][-1]["seconds"] if returns["evaluations"] else 0.0
        self._began = self._saved = time.monotonic()

    @property
    def agent(self) -> PixelDQN | PixelSAC:
        assert isinstance(self.model, (PixelDQN, PixelSAC))
        return self.model

    def _on_rollout_start(self) -> None:
        """Before each step, when the update of the last one is over."""
        self.done = self.agent.num_timesteps
        every = max(1, self.steps // EVALUATIONS)
        rows = self.returns["evaluations"]
        if self.done % every == 0 and (not rows or rows[-1]["step"] < self.done):
            self.evaluate()
        self.report(self.done, self.steps, self._figures())
        now = time.monotonic()
        late = self.asked or (self.deadline is not None and now >= self.deadline)
        if self.agent.replay_buffer.fresh and (late or now - self._saved >= self.checkpoint_seconds):
            self.save()
            self.ended = late

    def _on_step(self) -> bool:
        """Whether the training goes on: if not, the step that was just made is forgotten."""
        return not self.ended

    def evaluate(self) -> None:
        """Measure the agent as it is now, and keep the returns."""
        contrast = self.logger.name_to_value.get("train/contrast")
        row = EvaluationRow(
            step=self.done,
            seconds=0.0,
            returns=returns_of(greedy(self.agent), self.evaluation_env, self.episodes),
            contrast=None if contrast is None else float(contrast),
        )
        row["seconds"] = round(self._before + time.monotonic() - self._began, 2)
        self.returns["evaluations"].append(row)
        save_returns(self.folder, self.returns)
        self.writer.add_scalar("return", float(np.mean(row["returns"])), self.done)
        if contrast is not None:
            self.writer.add_scalar("contrast", float(contrast), self.done)

    def save(self) -> None:
        """Write a checkpoint; between two episodes, when the next one has begun already."""
        save_checkpoint(self.folder / CHECKPOINT, self.agent, self.env.episode - 1)
        self._saved = time.monotonic()

    def _figures(self) -> str:
        rows = self.returns["evaluations"]
        return f"training, return {np.mean(rows[-1]['returns']):.3g}" if rows else "training"

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Signals ask for the end while this lasts; Python handles them in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts >= AT_ONCE:
            raise KeyboardInterrupt
        if not self.asked:
            tell("stopping at the end of this episode, with a checkpoint", show=self.show)
        self.asked = True
