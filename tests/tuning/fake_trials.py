"""Trials without trainings, which other processes can import."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

from likewise.tuning.trials import FAILED, FINISHED, PRUNED, Asked, Ended, Report

EPOCHS = 9


def quality(asked: Asked) -> float:
    """Largest where lr is 1e-3; `augment` does nothing."""
    return 1 - (math.log10(asked.values.get("lr", 1e-2)) + 3) ** 2 / 4


def train(asked: Asked, report: Report) -> Ended:
    """As good after each epoch as at the end."""
    for epoch in (1, 3, EPOCHS):
        if report(epoch, quality(asked)):
            return Ended(PRUNED, epochs=epoch, seconds=0.1)
    return Ended(FINISHED, value=quality(asked), epochs=EPOCHS, seconds=0.2)


def train_badly(asked: Asked, report: Report) -> Ended:
    """Trial 2 is killed, trial 3 fails."""
    if asked.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if asked.number == 3:
        return Ended(FAILED, reason="memory is full")
    report(1, quality(asked))
    return Ended(FINISHED, value=quality(asked), epochs=1, seconds=0.1)


def stop_once(asked: Asked, report: Report) -> Ended:
    """Trial 2 is asked to stop, until it goes on."""
    if asked.number == 2 and not asked.again:
        raise KeyboardInterrupt
    return Ended(FINISHED, value=quality(asked), epochs=1, seconds=0.1)


def long(asked: Asked, report: Report, *, begun: Path) -> Ended:
    """Every trial but the first lasts until it is asked to stop."""
    if asked.number:
        begun.touch()
        while True:
            time.sleep(0.05)
    return Ended(FINISHED, value=quality(asked), epochs=1, seconds=0.1)


def speechless(asked: Asked, report: Report, *, begun: Path) -> Ended:
    """Every trial but the first lasts until it is asked to stop, and then ends its process without a word."""
    try:
        return long(asked, report, begun=begun)
    except KeyboardInterrupt:
        os._exit(1)
