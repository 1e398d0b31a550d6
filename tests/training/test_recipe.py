from __future__ import annotations

import re
from pathlib import Path

import pytest

from likewise.errors import UserError
from likewise.training.recipe import Recipe, load_recipe, parse_recipe, recipe_names
from small_data import training_data


def test_the_published_recipe() -> None:
    recipe = load_recipe("stl10-simclr")
    assert (recipe.method, recipe.encoder, recipe.optimizer) == ("simclr", "resnet18", "adam")
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay) == (100, 256, 1e-3, 1e-4)
    assert recipe.options["projection_dim"] == 128


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_with_the_package_builds_its_method(name: str) -> None:
    from likewise.data.open import open_source
    from likewise.encoders import image_encoder
    from likewise.methods import build_method, method_class
    from likewise.modalities.lookup import setup

    recipe = load_recipe(name)
    if method_class(recipe.method).modality in ("any", "image"):
        encoder = image_encoder("vit_tiny" if "vit" in recipe.encoder else "resnet8", channels=1, size=8)
    else:
        data, shape = training_data(recipe.method)
        how = {"sample_rate": shape["sample_rate"], "modality": "audio"} if "sample_rate" in shape else {}
        recipe = recipe.with_(**shape)
        encoder = setup(open_source(data, **how), recipe, accelerated=False).build_encoder()
    assert build_method(recipe.method, encoder, recipe.options).encoder is encoder


def test_a_recipe_file_is_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 7\naugment:\n  - crop: {scale: [0.5, 1]}\noptions: {temperature: 0.2}\n")
    recipe = load_recipe(str(path))
    assert recipe == Recipe(epochs=7, augment=[{"crop": {"scale": [0.5, 1]}}], options={"temperature": 0.2})


def test_changes_go_to_the_recipe_or_to_the_method() -> None:
    recipe = Recipe(options={"projection_dim": 64}).with_(lr=0.1, temperature=0.2)
    assert recipe.lr == 0.1
    assert recipe.options == {"projection_dim": 64, "temperature": 0.2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "has no key 'epoch', did you mean 'epochs'?"),
        ("- 3", "must be a list of `key: value` lines, got list"),
        ("epochs: [", "is not YAML"),
        ("epochs: 0", "epochs must be at least 1, got 0"),
        ("epochs: many", "epochs must be a whole number, got 'many'"),
        ("batch_size: 1.5", "batch_size must be a whole number or none, got 1.5"),
        ("lr: 0", "lr must be above 0, got 0"),
        ("lr: fast", "lr must be a number, got 'fast'"),
        ("momentum: 1.0", "momentum must be from 0 to below 1, got 1.0"),
        ("weight_decay: -1", "weight_decay must be 0 or more, got -1"),
        ("warmup_epochs: 200", "warmup_epochs must be from 0 to epochs (100), got 200"),
        ("optimizer: adamm", "optimizer must be one of sgd, adam, adamw, lars, got 'adamm'"),
        ("schedule: step", "schedule must be one of cosine, constant, multistep, got 'step'"),
        ("final_lr: 0.1", "final_lr must be at most lr, 0.001, got 0.1"),
        ("warmup_lr: -1", "warmup_lr must be 0 or more, got -1"),
        ("bias_lr: 0", "bias_lr must be above 0, got 0"),
        ("betas: [0.9]", "betas must be two numbers, such as 0.9 0.95, got [0.9]"),
        ("betas: [0.9, 1]", "betas must be from 0 to below 1, got 1.0"),
        ("betas: [0.9, x]", "betas must be a number, got 'x'"),
        ("betas: 0.9", "betas must be a list or none, got 0.9"),
        ("schedule: multistep", "milestones must be given for multistep, got None"),
        ("milestones: [3]", "schedule must be multistep where milestones are given, got cosine"),
        ("{schedule: multistep, milestones: [0]}", "milestones must be above 0 and at most 1,000,000,000, got 0.0"),
        ("weight_decay_end: -1", "weight_decay_end must be 0 or more, got -1"),
        ("{weight_decay: 0, weight_decay_end: 1}", "weight_decay must be above 0 where weight_decay_end is, got 0"),
        ("zero_init_residual: maybe", "zero_init_residual must be true or false, got 'maybe'"),
        ("grad_clip: 0", "grad_clip must be above 0, got 0"),
        ("grad_clip: high", "grad_clip must be a number or none, got 'high'"),
        ("size: 2", "size must be at least 4 px, got 2"),
        ("channels: 0", "channels must be at least 1, got 0"),
    ],
)
def test_impossible_recipes(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_recipe(text, "mine.yaml")


def test_another_schedule_drops_the_milestones_of_a_recipe() -> None:
    recipe = load_recipe("imagenet-moco-v1")
    assert recipe.milestones == [120, 160]
    assert recipe.with_(schedule="cosine").milestones is None
    assert recipe.with_(lr=0.1).milestones == [120, 160]
    with pytest.raises(UserError, match="schedule must be multistep"):
        recipe.with_(schedule="cosine", milestones=[3])


def test_unknown_recipes() -> None:
    with pytest.raises(UserError, match=re.escape("unknown recipe 'stl10-simclear', did you mean 'stl10-simclr'?")):
        load_recipe("stl10-simclear")
    with pytest.raises(UserError, match=re.escape("no recipe file mine.yaml")):
        load_recipe("mine.yaml")
