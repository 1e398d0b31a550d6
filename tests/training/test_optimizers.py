from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from likewise.encoders import image_encoder
from likewise.encoders.audio import audio_encoder
from likewise.encoders.text import text_encoder
from likewise.training.optimizers import encoder_stages, lr_at, optimizers, parameter_groups
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


class Trained(nn.Module):
    """A method as far as its optimizer sees it."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(4, 4)


@pytest.mark.parametrize(
    ("encoder", "layers"),
    [
        (lambda: image_encoder("resnet18", channels=3, size=64), 2 + 8),  # convolution, norm, blocks
        (lambda: image_encoder("resnet50", channels=3, size=64), 2 + 16),
        (lambda: image_encoder("resnet8", channels=3, size=32), 2 + 3),
        (lambda: image_encoder("vit_tiny", channels=3, size=112), 1 + 12 + 1),  # patches, blocks, norm
        (lambda: text_encoder("bert-tiny", vocab_size=5000, max_tokens=8, pad=0), 1 + 2),  # embeddings, layers
        (lambda: text_encoder("gpt-mini", vocab_size=50, max_tokens=8, pad=0), 2 + 4 + 1),  # tokens, positions, … norm
        (lambda: audio_encoder("mel-resnet8", sample_rate=8000, seconds=1), 2 + 3),
    ],
)
def test_the_layers_of_an_encoder(encoder: Callable[[], nn.Module], layers: int) -> None:
    module = encoder()
    stages = encoder_stages(module)
    assert len(stages) == layers
    assert sorted(id(p) for stage in stages for p in stage) == sorted(id(p) for p in module.parameters())


def test_the_rates_of_an_encoder_fall_from_layer_to_layer() -> None:
    method = Trained(image_encoder("resnet18", channels=3, size=64))
    recipe = Recipe(lr=1e-2, encoder_lr=1e-3, layer_decay=0.5, weight_decay=0.1)
    optimizer = optimizers(recipe, steps=10, steps_per_epoch=5)(method)["optimizer"]
    rate = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    assert len(rate) == len(list(method.parameters()))
    body = method.encoder.body
    assert rate[id(method.head.weight)] == (1e-2, 0.1)
    assert rate[id(method.head.bias)] == (1e-2, 0.0)
    assert rate[id(body.layer4[1].conv2.weight)] == (1e-3, 0.1)
    assert rate[id(body.layer4[0].conv1.weight)] == (pytest.approx(1e-3 / 2), 0.1)
    assert rate[id(body.layer1[0].bn1.weight)] == (pytest.approx(1e-3 / 2**7), 0.0)
    assert rate[id(body.conv1.weight)] == (pytest.approx(1e-3 / 2**9), 0.1)


def test_without_rates_of_its_own_an_encoder_learns_as_the_heads() -> None:
    method = Trained(nn.Linear(4, 4))
    groups = optimizers(Recipe(lr=1e-2), steps=10, steps_per_epoch=5)(method)["optimizer"].param_groups
    assert [group["lr"] for group in groups] == [1e-2, 1e-2]
    own = optimizers(Recipe(lr=1e-2, encoder_lr=1e-3), steps=10, steps_per_epoch=5)(method)["optimizer"].param_groups
    assert {group["lr"] for group in own if any(p is method.encoder.weight for p in group["params"])} == {1e-3}
