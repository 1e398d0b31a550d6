"""Optimizers and schedules from a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import nn

from likewise.training.recipe import Recipe

BLOCKS = ("ResNetBasicLayer", "ResNetBottleNeckLayer")
"""Layers of transformers whose convolutions are a row of layers themselves."""


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices and kernels with weight decay; biases, norms and other vectors without."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def encoder_groups(method: nn.Module, encoder: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """As `parameter_groups`, with rates of their own for the encoder: the later a layer, the nearer to `encoder_lr`."""
    stages = encoder_stages(encoder)
    of_encoder = {id(parameter) for stage in stages for parameter in stage}
    rates = {id(p): recipe.lr for p in method.parameters() if id(p) not in of_encoder}
    top, decay = recipe.encoder_lr or recipe.lr, recipe.layer_decay or 1.0
    for below_top, stage in enumerate(reversed(stages)):
        rates |= {id(p): top * decay**below_top for p in stage}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in method.parameters():
        if parameter.requires_grad:
            groups.setdefault((rates[id(parameter)], parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": lr, "weight_decay": recipe.weight_decay if decays else 0.0}
        for (lr, decays), parameters in groups.items()
    ]


def encoder_stages(encoder: nn.Module) -> list[list[nn.Parameter]]:
    """The trained parameters of an encoder, layer by layer: blocks of a Transformer or a ResNet, and what is between.

    Parameters that belong to no layer, such as position embeddings, are of the first.
    """
    stages = [[p for p in layer.parameters() if p.requires_grad] for layer in _layers(encoder)]
    stages = [stage for stage in stages if stage] or [[]]
    known = {id(parameter) for stage in stages for parameter in stage}
    stages[0] = [p for p in encoder.parameters() if p.requires_grad and id(p) not in known] + stages[0]
    return stages


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers in a row of which a network consists: what holds rows of layers is opened, a layer itself is not."""
    if type(module).__name__ in BLOCKS or not _holds_a_row(module):
        return [module]
    return [layer for child in module.children() for layer in _layers(child)]


def _holds_a_row(module: nn.Module) -> bool:
    """Whether a module is, or holds, a row of layers that have parts themselves; a row of operations is one layer."""
    is_row = isinstance(module, nn.Sequential | nn.ModuleList)
    return any((is_row and any(True for _ in child.children())) or _holds_a_row(child) for child in module.children())


def lr_at(
    step: int,
    *,
    steps: int,
    warmup: int,
    schedule: str,
    first: float = 0.0,
    final: float = 0.0,
    milestones: Sequence[int] = (),
) -> float:
    """The factor of the learning rate at a step: a linear warmup, then what `schedule` says.

    Args:
        step: from 0.
        steps: of the training.
        warmup: steps of the warmup.
        schedule: `cosine`, `constant` or `multistep`.
        first: factor at which the warmup begins.
        final: factor at the end of a cosine.
        milestones: steps from each of which on the factor of `multistep` is a tenth.
    """
    if step < warmup:
        return first + (1 - first) * (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "multistep":
        return 0.1 ** sum(step >= milestone for milestone in milestones)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def weight_decay_at(step: int, *, steps: int, start: float, end: float) -> float:
    """The weight decay at a step: half a cosine from `start` to `end` (arXiv:2104.14294)."""
    return start + (end - start) * 0.5 * (1 - math.cos(math.pi * step / steps))


def optimizers(recipe: Recipe, *, steps: int, steps_per_epoch: int) -> Callable[[nn.Module], dict[str, Any]]:
    """What a module's `configure_optimizers` returns, for a training of `steps` steps."""

    def configure(module: nn.Module) -> dict[str, Any]:
        constant = {id(parameter) for parameter in getattr(module, "constant_lr_parameters", list)()}
        groups = [part for group in recipe_groups(module, recipe) for part in _parted(group, constant)]
        optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum)
        elif recipe.optimizer == "lars":
            from timm.optim import Lars

            for group in groups:  # without weight decay too: timm would fall back to plain SGD
                group["always_adapt"] = not (recipe.exclude_bias_and_norm and _are_vectors(group))
            optimizer = Lars(groups, lr=recipe.lr, momentum=recipe.momentum)
        else:
            kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
            first, second = recipe.betas or (recipe.momentum, 0.999)
            optimizer = kind(groups, lr=recipe.lr, betas=(first, second))

        how: dict[str, Any] = {
            "steps": steps,
            "warmup": round(recipe.warmup_epochs * steps_per_epoch),
            "schedule": recipe.schedule,
            "first": recipe.warmup_lr / recipe.lr,
            "final": recipe.final_lr / recipe.lr,
            "milestones": [round(epoch * steps_per_epoch) for epoch in recipe.milestones or ()],
        }

        def factor(step: int) -> float:
            return lr_at(step, **how)

        kept = [any(id(parameter) in constant for parameter in group["params"]) for group in groups]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [_always_one if each else factor for each in kept])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    return configure


def recipe_groups(method: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The trained parameters, with the rates and the weight decay that the recipe gives them."""
    if recipe.encoder_lr is None and recipe.layer_decay is None:
        groups = parameter_groups(method, recipe.weight_decay)
    else:
        groups = encoder_groups(method, method.encoder, recipe)  # type: ignore[arg-type]
    for group in filter(_are_vectors, groups):
        if not recipe.exclude_bias_and_norm:
            group["weight_decay"] = recipe.weight_decay
        if recipe.bias_lr is not None:
            group["lr"] = group.get("lr", recipe.lr) / recipe.lr * recipe.bias_lr
    return groups


def _are_vectors(group: dict[str, Any]) -> bool:
    return all(parameter.ndim <= 1 for parameter in group["params"])


def _parted(group: dict[str, Any], constant: Collection[int]) -> list[dict[str, Any]]:
    """A group, and apart from it its parameters with these ids, where it has any."""
    parts = [[p for p in group["params"] if (id(p) in constant) is chosen] for chosen in (False, True)]
    return [group | {"params": part} for part in (parts if parts[1] else parts[:1])]


def _always_one(step: int) -> float:
    return 1.0
