"""Optimizers and schedules from a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from likewise.training.recipe import Recipe


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices and kernels with weight decay; biases, norms and other vectors without."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def lr_at(step: int, *, steps: int, warmup: int, schedule: str) -> float:
    """The factor of the learning rate at a step: linear warmup, then cosine to 0, or constant."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def optimizers(recipe: Recipe, *, steps: int, steps_per_epoch: int) -> Callable[[nn.Module], dict[str, Any]]:
    """What a module's `configure_optimizers` returns, for a training of `steps` steps."""

    def configure(module: nn.Module) -> dict[str, Any]:
        groups = parameter_groups(module, recipe.weight_decay)
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
        elif recipe.optimizer == "lars":
            from timm.optim import Lars

            groups[0]["always_adapt"] = True  # without weight decay too: timm would fall back to plain SGD
            optimizer = Lars(groups, lr=recipe.lr, momentum=recipe.momentum)
        else:
            kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
            optimizer = kind(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999))
        warmup = round(recipe.warmup_epochs * steps_per_epoch)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: lr_at(step, steps=steps, warmup=warmup, schedule=recipe.schedule),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    return configure
