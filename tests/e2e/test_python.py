"""The package from Python: one's own arrays, networks and views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import likewise as lw
from small_data import sentences

pytestmark = pytest.mark.usefixtures("working_folder")


QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 16, "precision": "32-true", "progress": False}


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 6, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 9, 12))


def labelled_images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = rng.integers(0, 60, (64, 8, 8)).astype(np.uint8)
    images[labels == 1, 2:6] += 150
    return images, labels


def test_ones_own_network_from_array_to_page() -> None:
    images, labels = labelled_images()
    how: dict[str, Any] = {"labels_per_class": (1, "all"), "seeds": 2, "steps": 4, "augment": "mild"}
    result = lw.study((images, labels), encoder=network(), out="run", **how, **QUICK)
    assert isinstance(result, dict)
    assert result["samples"] == {"train": 52, "test": 12}
    assert Path("run/report.html").exists()
    run = lw.open_run("run")
    assert run.config["encoder"] is None
    with pytest.raises(lw.UserError, match="weights of your own module: build it and pass it as encoder="):
        _ = run.encoder
    assert lw.embed(run, images, out="x.npy", encoder=network(), progress=False) == ("x.npy", 64, 12)
    with pytest.raises(lw.UserError, match="can't be loaded"):
        lw.embed(run, images, out="x.npy", encoder=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), progress=False)


class Words(nn.Module):
    """The sum of the embeddings of a text's tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(200, 12, mode="sum", padding_idx=0)

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.table(view), 0.1, self.training)


def test_ones_own_network_for_texts_is_evaluated() -> None:
    texts, labels = sentences(64), ["odd" if place % 2 else "even" for place in range(64)]
    how: dict[str, Any] = {"labels_per_class": (2,), "seeds": 1, "protocols": ("frozen", "raw-logistic")}
    result = lw.study((texts, labels), encoder=Words(), vocab_size=200, max_tokens=16, out="run", **how, **QUICK)
    assert [row["protocol"] for row in result["summary"]] == ["frozen", "raw-logistic"]
    assert lw.open_run("run").config["recipe"]["method"] == "simcse"


def test_scratch_is_trained_in_the_network_that_make_encoder_builds() -> None:
    images, labels = labelled_images()
    run = lw.pretrain(images, encoder=network(), out="run", **QUICK)
    halves = {"train": (images[:32], labels[:32]), "test": (images[32:], labels[32:])}
    quick: dict[str, Any] = {
        "labels_per_class": [2],
        "seeds": 1,
        "steps": 2,
        "progress": False,
        "protocols": ["scratch"],
    }
    result = lw.evaluate(run, encoder=network(), make_encoder=network, **halves, **quick)
    assert [trial["protocol"] for trial in result["trials"]] == ["scratch"]
    with pytest.raises(lw.UserError, match=r"^make_encoder must return a torch.nn.Module, got str$"):
        lw.evaluate(run, encoder=network(), make_encoder=lambda: "network", **halves, **quick)
    with pytest.raises(lw.UserError, match=r"^output of the encoder must be embeddings \(n, dim\), got \(2, 1, 8, 8\)"):
        lw.evaluate(run, encoder=network(), make_encoder=nn.Identity, **halves, **quick)


def test_operations_from_python_are_in_the_runs_recipe() -> None:
    from likewise.views.spatial import HorizontalFlip, RandomResizedCrop

    images, _ = labelled_images()
    ops = [RandomResizedCrop(scale=(0.6, 1.0)), HorizontalFlip()]
    run = lw.pretrain(images, augment=ops, out="run", **QUICK)
    names = [next(iter(op)) for op in run.config["recipe"]["augment"]]
    assert names == ["crop", "horizontal-flip"]
    again = lw.pretrain(images, recipe="run/recipe.yaml", out="again", precision="32-true", progress=False)
    assert (
        again.path.joinpath("encoder.safetensors").read_bytes() == run.path.joinpath("encoder.safetensors").read_bytes()
    )


def test_a_finished_run_is_resumed_to_itself() -> None:
    images, _ = labelled_images()
    first = lw.pretrain(images, encoder=network(), out="run", **QUICK)
    weights = first.path.joinpath("encoder.safetensors").read_bytes()
    again = lw.pretrain(images, encoder=network(), out="run", resume=True, **QUICK)
    assert again.path.joinpath("encoder.safetensors").read_bytes() == weights
    assert torch.equal(again.encoder[0].weight, first.encoder[0].weight)
