"""LiDAR at the end of a training: of which methods, of which samples, and without a trace in the training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import likewise as lw
from likewise.data.open import open_source
from likewise.methods import METHODS, method_class
from likewise.modalities.build import build_training
from likewise.report.contents import read_contents
from likewise.report.sections.training import metrics
from likewise.training.label_free import SAMPLES, VIEWS, lidar_of
from likewise.training.recipe import load_recipe

NO_AUGMENTED_PAIRS = {
    *("autoencoder", "denoising-autoencoder", "vae", "mae", "bag-of-words", "bert", "gpt", "tsdae"),
    *("rotnet", "relative-position", "jigsaw", "sentence-order", "pirl", "cpc", "cpc-audio", "dim"),
    *("wav2vec2", "hubert", "best-rq", "simcse", "clip", "siglip", "slip", "distill"),
    *("protonet", "maml", "fomaml", "reptile", "atc"),
}


def test_methods_that_do_not_compare_augmentations_are_left_out() -> None:
    assert {name for name in METHODS if not method_class(name).compares_augmentations} == NO_AUGMENTED_PAIRS


def built(method: str, **changes: Any) -> tuple[Any, Any]:
    recipe = load_recipe(method).with_(encoder="resnet8", epochs=1, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _, source, learner, _ = build_training(open_source("digits:train"), recipe, given=set(), kept=None)
    return learner, source


@pytest.mark.parametrize("method", ["simclr", "instdisc", "swav"])
def test_it_is_the_same_again_and_changes_nothing(method: str) -> None:
    learner, source = built(method)
    learner.train()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    state = torch.random.get_rng_state()
    found = lidar_of(learner, source)
    assert found is not None
    assert (found["samples"], found["views"]) == (SAMPLES, VIEWS)
    assert 1 < found["value"] <= min(SAMPLES - 1, found["dimensions"])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert learner.training
    assert all(torch.equal(value, before[name]) for name, value in learner.state_dict().items())
    np.random.seed(1)
    torch.manual_seed(1)
    assert lidar_of(learner, source) == found


def test_views_without_chance_have_none() -> None:
    learner, source = built("simclr", augment="none")
    assert lidar_of(learner, source) is None
    assert lidar_of(*built("rotnet")) is None


def test_the_run_keeps_it_and_the_page_and_the_comparison_show_it(tmp_path: Path) -> None:
    how: dict[str, Any] = {"encoder": "resnet8", "precision": "32-true", "threads": 1, "progress": False}
    run = lw.pretrain("digits", out=tmp_path / "one", epochs=1, **how)
    lidar = run.config["lidar"]
    assert 1 < lidar["value"] < 255
    without = lw.pretrain("digits", out=tmp_path / "two", epochs=1, method="rotnet", **how)
    assert "lidar" not in without.config
    section = metrics(read_contents(run.path))
    assert section is not None
    assert f"LiDAR was {lidar['value']:.1f} of at most" in section.body
    ranks = [value for value in run.history.column("effective_rank") if math.isfinite(value)]
    assert f"(RankMe) was {ranks[-1]:.1f} and LiDAR" in section.body
    other = metrics(read_contents(without.path))
    assert other is not None
    assert "LiDAR" not in other.body
    compared = lw.compare(run, without)
    assert [row["lidar"] for row in compared.runs] == [lidar["value"], None]
    run = lw.pretrain("digits", out=tmp_path / "one", epochs=2, resume=True, **how)
    assert run.config["lidar"]["value"] != lidar["value"]
