"""Signals end a training at the end of its step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L

from likewise.console import tell
from likewise.training.callbacks.checkpoints import Checkpoints

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Ctrl-C, `kill`, a closed terminal, and what schedulers send before their time limit."""
AT_ONCE = 3
"""So many Ctrl-C end the step itself; what was done since the last checkpoint is then lost."""


class Interruption(L.Callback):
    """Ends a training when a signal asks for it.

    Attributes:
        asked: whether one did; the training has then ended early.
    """

    def __init__(self, checkpoints: Checkpoints, *, show: bool) -> None:
        self.checkpoints, self.show = checkpoints, show
        self.asked = False
        self._interrupts = 0
        self._before: dict[int, Any] = {}

    @contextmanager
    def handlers(self) -> Iterator[None]:
        """Around the training: gives the signals back to whoever had them."""
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before.clear()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Here, and not before the training: Lightning installs its own, which end a step in its middle.
        if threading.current_thread() is threading.main_thread():  # no other may handle signals: its owner decides
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def _handle(self, number: int, frame: Any) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts >= AT_ONCE:
            raise KeyboardInterrupt
        if not self.asked:
            tell("stopping at the end of this step, with a checkpoint", show=self.show)
        self.asked = True

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        asked = self.asked
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            self.asked = self.checkpoints.due = trainer.should_stop = True
