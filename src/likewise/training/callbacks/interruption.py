"""Signals end a training at the end of its step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L

from likewise.console import tell
from likewise.distributed import any_process
from likewise.training.callbacks.checkpoints import Checkpoints

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
"""Ctrl-C, `kill`, a closed terminal, and what schedulers send before their time limit."""
AT_ONCE = 3
"""So many Ctrl-C end the step itself; what was done since the last checkpoint is then lost."""


class Interruption(L.Callback):
    """Ends a training when a signal requests it.

    A signal that was ignored when the training began stays ignored: of `nohup`, that a terminal was closed.

    Attributes:
        asked: whether one did; the training has then ended early.
    """

    def __init__(self, checkpoints: Checkpoints, *, show: bool) -> None:
        self.checkpoints, self.show = checkpoints, show
        self.asked = False
        self._interrupts = 0
        self._ignored: set[int] = set()

    @contextmanager
    def handlers(self) -> Iterator[None]:
        """Around the training: afterwards every signal has the handler that it had before."""
        # Noted before the training: the handlers at its start are Lightning's, and SIGTERM would then do nothing more.
        before = {number: signal.getsignal(number) for number in SIGNALS} if _in_main_thread() else {}
        self._ignored = {number for number, handler in before.items() if handler is signal.SIG_IGN}
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not None:  # None: it was not installed from Python, and cannot be
                    signal.signal(number, handler)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Here, and not before the training: Lightning installs its own, which end a step in its middle.
        if _in_main_thread():
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN if number in self._ignored else self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts >= AT_ONCE:
            raise KeyboardInterrupt
        if not self.asked:
            tell("stopping at the end of this step, with a checkpoint", show=self.show)
        self.asked = True

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if any_process(self.asked, trainer.strategy.root_device):
            self.asked = self.checkpoints.due = trainer.should_stop = True


def _in_main_thread() -> bool:
    """Whether signals are handled here: Python allows it in the main thread only."""
    return threading.current_thread() is threading.main_thread()
