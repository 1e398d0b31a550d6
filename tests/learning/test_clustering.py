"""Methods that predict assignments really learn: on digits their features beat those of the same encoder untrained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from few_labels import accuracy
from timm.models.vision_transformer import VisionTransformer

import likewise as lw


# 5 labels a class, beside 0.80 untrained, measured when this was written: swav 0.90, deepcluster 0.91, dino 0.83, which
# is slower. With the targets of other samples swav gave 0.74 and deepcluster 0.78, and the loss stayed at chance.
@pytest.mark.parametrize(
    ("method", "margin"),
    [
        ("swav", 0.05),
        pytest.param("deepcluster", 0.05, marks=pytest.mark.slow),
        pytest.param("dino", 0.01, marks=pytest.mark.slow),
    ],
)
def test_it_learns_what_an_untrained_encoder_does_not_know(method: str, margin: float, tmp_path: Path) -> None:
    run = lw.pretrain(
        "digits",
        method=method,
        recipe=method,
        epochs=8,
        precision="32-true",
        out=tmp_path / "run",
        progress=False,
    )
    assert accuracy(run, "frozen") > accuracy(run, "untrained") + margin
    last = run.history.rows[-1]
    assert last["loss"] < run.chance["loss"] - 0.2
    assert last["code_entropy"] > 0.8


def small_vit() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(8, 2, 1, num_classes=0, embed_dim=64, depth=3, num_heads=2)


@pytest.mark.slow
def test_dinov2_learns_what_is_masked(tmp_path: Path) -> None:
    run = lw.pretrain(
        "digits",
        method="dinov2",
        encoder=small_vit(),
        epochs=12,
        batch_size=64,
        lr=2e-3,
        hidden_dim=256,
        prototypes=64,
        precision="32-true",
        out=tmp_path / "run",
        progress=False,
    )
    # In so few steps patches are learned, and whole views not yet. Measured: 0.33, untrained 0.19, and the term 0.36
    # below chance; with the teacher's assignments of other samples 0.28 and 0.07.
    assert run.history.rows[-1]["ibot"] < run.chance["ibot"] - 0.2
    assert accuracy(run, "frozen") > accuracy(run, "untrained", make_encoder=small_vit) + 0.11
