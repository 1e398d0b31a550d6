"""The schedule of a recipe: of the weight decay, and of a training that is resumed."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch.optim.lr_scheduler import LambdaLR

from likewise.training.optimizers import weight_decay_at
from likewise.training.recipe import Recipe


class WeightDecayOfRecipe(L.Callback):
    """Sets the weight decay of each step, a function of the step alone, of parameters that decay.

    Args:
        recipe: of the training.
        steps: of the training.
    """

    def __init__(self, recipe: Recipe, steps: int) -> None:
        self.start, self.end, self.steps = recipe.weight_decay, recipe.weight_decay_end, steps

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, *_: Any) -> None:
        if self.end is None:
            return
        decay = weight_decay_at(trainer.global_step, steps=self.steps, start=self.start, end=self.end)
        for group in trainer.optimizers[0].param_groups:
            if group["weight_decay"] > 0:
                group["weight_decay"] = decay


class ScheduleOfRecipe(L.Callback):
    """Of a resumed training, whose recipe may be longer than that which wrote the checkpoint.

    Goes on after what was the last step, and sets the learning rate of the first resumed one. Later steps
    need nothing: a scheduler computes each rate anew from the step.
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
