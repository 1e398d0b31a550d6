"""What a recipe can say can be typed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from likewise.cli import main
from small_files import documents
from typed_commands import answered, refused

Text = pytest.CaptureFixture[str]
USUAL = "--encoder resnet8 --epochs 1 --batch-size 16 --precision 32-true --threads 1 --no-progress".split()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    np.save(tmp_path / "pictures.npy", np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), dtype=np.uint8))
    return tmp_path / "pictures.npy"


def test_the_recipes_new_values_are_typed_and_kept(pictures: Path, capsys: Text) -> None:
    options = (
        "--lr 0.1 --bias-lr 0.01 --warmup-lr 0.05 --betas 0.9 0.95 --weight-decay 0.1 --weight-decay-end 0.2 "
        "--no-exclude-bias-and-norm --schedule multistep --milestones 0.5 0.75 --final-lr 0.01 --zero-init-residual "
        "--augment-second mild --augment-local none"
    )
    answered(capsys, "pretrain", pictures, "--out=run", *USUAL, *options.split())
    recipe = yaml.safe_load(Path("run/recipe.yaml").read_text())
    assert recipe["betas"] == [0.9, 0.95]
    assert recipe["milestones"] == [0.5, 0.75]
    assert (recipe["bias_lr"], recipe["warmup_lr"], recipe["final_lr"]) == (0.01, 0.05, 0.01)
    assert (recipe["weight_decay"], recipe["weight_decay_end"]) == (0.1, 0.2)
    assert (recipe["exclude_bias_and_norm"], recipe["zero_init_residual"]) == (False, True)
    assert (recipe["augment_second"], recipe["augment_local"]) == ("mild", "none")
    config = json.loads(Path("run/config.json").read_text())
    assert config["encoder"]["zero_init_residual"] is True
    assert config["views"]["second"] != config["views"]["ops"]
    assert [list(each) for each in config["views"]["local"]] == [["crop"]]
    again = [*shlex.split(config["command"])[1:], "--resume", "--no-progress"]
    assert main(again) == 0  # finished, and the same


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--milestones 3 5", "schedule must be multistep where milestones are given, got cosine"),
        ("--schedule multistep", "milestones must be given for multistep, got None"),
        ("--betas 0.9", "betas must be two numbers, such as 0.9 0.95, got [0.9]"),
        ("--betas 0.9 nan", "betas must be from 0 to below 1, got nan"),
        ("--final-lr 1", "final_lr must be at most lr, 0.002, got 1.0"),
        ("--augment-second milt", "augment_second must be one of"),
        ("--augment-local milt", "augment_local must be one of"),
        ("--encoder vit_micro --zero-init-residual", "zero_init_residual must be false for vit_micro"),
        ("--method dino --drop-path 0.1", "encoder must be a Vision Transformer of timm, got resnet8"),
        ("--method jigsaw --grey 2", "grey must be from 0 to 1, got 2.0"),
    ],
)
def test_impossible_values_end_in_one_line(words: str, message: str, pictures: Path, capsys: Text) -> None:
    usual = USUAL[2:] if "--encoder" in words else USUAL
    assert message in refused(capsys, "pretrain", pictures, "--out=run", *usual, *words.split())
    assert not Path("run").exists()


def test_augmentations_of_images_are_refused_for_texts(tmp_path: Path, capsys: Text) -> None:
    texts = documents(tmp_path / "texts.csv", 40)
    said = refused(capsys, "pretrain", texts, "--augment-second", "mild")
    assert "--augment-second applies to image samples" in said
