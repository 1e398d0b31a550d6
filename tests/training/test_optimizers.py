from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from likewise.encoders import image_encoder
from likewise.encoders.audio import audio_encoder
from likewise.encoders.text import text_encoder
from likewise.methods.simsiam import SimSiam
from likewise.training.optimizers import encoder_stages, lr_at, optimizers, parameter_groups, weight_decay_at
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


def small_method() -> Trained:
    return Trained(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))


def groups_of(method: nn.Module, **values: object) -> dict[str, tuple[float, float]]:
    """Rate and weight decay of each parameter, by its name."""
    made = optimizers(Recipe(lr=1.0, weight_decay=0.1, **values), steps=10, steps_per_epoch=5)(method)
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    groups = made["optimizer"].param_groups
    return {names[id(p)]: (group["initial_lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_by_default_rates_and_groups_are_what_they_were() -> None:
    for step in range(30):
        before = (step + 1) / 7 if step < 7 else 0.5 * (1 + math.cos(math.pi * (step - 7) / max(1, 30 - 7)))
        assert lr_at(step, steps=30, warmup=7, schedule="cosine") == before  # to the last bit
    method = small_method()
    for kind in OPTIMIZERS:
        made = optimizers(Recipe(optimizer=kind), steps=10, steps_per_epoch=5)(method)
        groups = made["optimizer"].param_groups
        assert [[p.ndim > 1 for p in group["params"]] for group in groups] == [[True, True], [False] * 4]
        assert [group["weight_decay"] for group in groups] == [1e-4, 0.0]
        assert [group.get("always_adapt") for group in groups] == ([True, False] if kind == "lars" else [None, None])
        betas = (0.9, 0.999) if kind.startswith("adam") else None
        assert [group.get("betas") for group in groups] == [betas] * 2


def test_a_cosine_ends_at_the_final_rate_and_a_warmup_begins_at_its_own() -> None:
    rates = [lr_at(step, steps=1010, warmup=10, schedule="cosine", first=0.25, final=0.1) for step in range(1011)]
    assert rates[:10] == pytest.approx([0.25 + 0.75 * (step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([0.1 + 0.45 * (1 + math.cos(math.pi * step / 1000)) for step in range(1001)])
    assert rates[-1] == pytest.approx(0.1)


def test_the_rate_of_a_recipe_is_divided_by_ten_at_each_milestone() -> None:
    recipe = Recipe(
        lr=0.2, optimizer="sgd", schedule="multistep", milestones=[2.0, 3.5], warmup_epochs=1.0, warmup_lr=0.1
    )
    made = optimizers(recipe, steps=40, steps_per_epoch=8)(nn.Linear(2, 2))
    rates = []
    for _ in range(40):
        rates.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    warmup = [0.1 + 0.1 * (step + 1) / 8 for step in range(8)]
    assert rates == pytest.approx([*warmup, *[0.2] * 8, *[0.02] * 12, *[0.002] * 12])


def test_weight_decay_goes_by_half_a_cosine_from_start_to_end() -> None:
    decays = [weight_decay_at(step, steps=100, start=0.04, end=0.4) for step in range(101)]
    assert decays == pytest.approx([0.4 - 0.18 * (1 + math.cos(math.pi * step / 100)) for step in range(101)])
    assert (decays[0], decays[50], decays[100]) == pytest.approx((0.04, 0.22, 0.4))


def test_both_betas_can_be_given() -> None:
    made = optimizers(Recipe(optimizer="adamw", betas=[0.9, 0.95]), steps=2, steps_per_epoch=1)(nn.Linear(1, 1))
    assert made["optimizer"].param_groups[0]["betas"] == (0.9, 0.95)


def test_biases_and_norms_can_have_a_rate_of_their_own() -> None:
    found = groups_of(small_method(), bias_lr=0.25)
    assert found["encoder.0.weight"] == found["head.weight"] == (1.0, 0.1)
    vectors = {name: value for name, value in found.items() if "1." in name or name.endswith("bias")}
    assert len(vectors) == 4
    assert set(vectors.values()) == {(0.25, 0.0)}
    in_layers = groups_of(small_method(), bias_lr=0.25, encoder_lr=0.5)
    assert in_layers["encoder.0.weight"] == (0.5, 0.1)
    assert in_layers["encoder.0.bias"] == (0.125, 0.0)


@pytest.mark.parametrize("layers", [{}, {"encoder_lr": 0.5, "layer_decay": 0.5}])
def test_all_parameters_can_decay(layers: dict[str, float]) -> None:
    found = groups_of(small_method(), exclude_bias_and_norm=False, **layers)
    assert {decay for _, decay in found.values()} == {0.1}
    assert len(found) == 6


def test_lars_over_all_adapts_biases_too() -> None:
    """As apex's LARC: the step of any parameter is 0.001 of its length, whatever its gradient's."""
    for exclude in (True, False):
        layer = nn.Linear(3, 2)
        nn.init.ones_(layer.bias)
        recipe = Recipe(optimizer="lars", lr=1.0, momentum=0.0, weight_decay=0.0, exclude_bias_and_norm=exclude)
        made = optimizers(recipe, steps=100, steps_per_epoch=10)(layer)
        before = layer.bias.detach().clone()
        (7 * layer(torch.ones(1, 3))).sum().backward()
        made["optimizer"].step()
        moved = (layer.bias - before).norm().item()
        assert moved == pytest.approx(7 * math.sqrt(2) if exclude else 1e-3 * math.sqrt(2), rel=1e-4)


def test_the_rate_of_simsiams_predictor_can_stay_at_its_top() -> None:
    method = SimSiam(Encoder4(), projection_dim=6, prediction_dim=3, fix_predictor_lr=True)
    made = optimizers(Recipe(optimizer="sgd", lr=0.5), steps=10, steps_per_epoch=5)(method)
    for _ in range(7):
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    rates = {id(p): group["lr"] for group in made["optimizer"].param_groups for p in group["params"]}
    assert rates.keys() == {id(p) for p in method.parameters()}
    predictor = {id(p) for p in method.predictor.parameters()}
    assert {rates[each] for each in predictor} == {0.5}
    falling = 0.25 * (1 + math.cos(math.pi * 0.7))
    others = [rate for each, rate in rates.items() if each not in predictor]
    assert others == pytest.approx([falling] * len(others))
    usual = SimSiam(Encoder4(), projection_dim=6, prediction_dim=3)
    assert len(optimizers(Recipe(), steps=10, steps_per_epoch=5)(usual)["optimizer"].param_groups) == 2


class Encoder4(nn.Linear):
    """Four numbers in, four out."""

    dim = 4

    def __init__(self) -> None:
        super().__init__(4, 4)
