"""A probe on labelled data: the accuracy of the encoder each epoch, without influence on the training."""

from __future__ import annotations

from collections.abc import Callable

import lightning as L

from likewise.methods.base import Method


class Probe(L.Callback):
    """Logs `probe`, an accuracy in [0, 1], before the first step and after each epoch.

    Args:
        accuracy: of a method's encoder; restores its mode, its BatchNorms and all random generators.
    """

    def __init__(self, accuracy: Callable[[Method], float]) -> None:
        self.accuracy = accuracy

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step == 0:
            self._measure(trainer, pl_module, step=0)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        assert isinstance(pl_module, Method)
        if trainer.global_step % pl_module.training_context.steps_per_epoch == 0:
            self._measure(trainer, pl_module, step=trainer.global_step - 1)

    def _measure(self, trainer: L.Trainer, method: L.LightningModule, *, step: int) -> None:
        assert isinstance(method, Method)
        with trainer.precision_plugin.forward_context():
            accuracy = self.accuracy(method)
        for logger in trainer.loggers:
            logger.log_metrics({"probe": accuracy}, step=step)
