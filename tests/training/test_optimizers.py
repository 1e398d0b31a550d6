from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from likewise.training.optimizers import lr_at, optimizers, parameter_groups
from likewise.training.recipe import OPTIMIZERS, Recipe


def test_biases_and_norms_do_not_decay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    decayed, free = parameter_groups(module, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(module[0].weight), id(module[3].weight)}
    assert len(decayed["params"]) + len(free["params"]) == len(list(module.parameters()))


def test_the_rate_warms_up_linearly_then_falls_as_a_cosine() -> None:
    rates = [lr_at(step, steps=110, warmup=10, schedule="cosine") for step in range(110)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:] == pytest.approx([0.5 * (1 + math.cos(math.pi * i / 100)) for i in range(100)])
    assert {lr_at(step, steps=110, warmup=0, schedule="constant") for step in range(110)} == {1.0}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends(name: str) -> None:
    torch.manual_seed(0)
    model, x, y = nn.Linear(4, 1), torch.randn(64, 4), torch.randn(64, 1)
    recipe = Recipe(optimizer=name, lr=0.05, momentum=0.5)
    made = optimizers(recipe, steps=50, steps_per_epoch=10)(model)
    losses = []
    for _ in range(50):
        loss = (model(x) - y).square().mean()
        made["optimizer"].zero_grad()
        loss.backward()
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert made["optimizer"].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_momentum_is_adams_first_beta() -> None:
    made = optimizers(Recipe(optimizer="adam", momentum=0.8), steps=2, steps_per_epoch=1)(nn.Linear(1, 1))
    assert made["optimizer"].param_groups[0]["betas"] == (0.8, 0.999)
