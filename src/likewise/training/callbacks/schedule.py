"""A resumed training follows its recipe, which may be longer than the training that wrote the checkpoint."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch.optim.lr_scheduler import LambdaLR


class ScheduleOfRecipe(L.Callback):
    """Goes on after what was the last step, and sets the learning rate of the first resumed one.

    Later steps need nothing: a scheduler computes each rate anew from the step.
    """

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for each in trainer.lr_scheduler_configs:
            scheduler = each.scheduler
            if isinstance(scheduler, LambdaLR):
                rates = [
                    base * factor(scheduler.last_epoch)
                    for base, factor in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
                ]
                for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate
