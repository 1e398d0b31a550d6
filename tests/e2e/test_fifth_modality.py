"""A modality that the package has never heard of: curves, brought from Python, trained, evaluated and put to use.

What follows until the tests is all that it takes: a source, views, an encoder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import likewise as lw

POINTS = 48


class Curves:
    """Sines of one to four waves, of any phase and height."""

    modality = "curve"

    def __init__(self, name: str, samples: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.name, self.classes = name, [f"{waves} waves" for waves in (1, 2, 3, 4)]
        self.skipped: list[tuple[str, str]] = []
        self.ids = [str(i) for i in range(samples)]
        self._labels = torch.arange(samples) % 4
        phase, height = torch.rand(2, samples, 1, generator=generator)
        angle = torch.arange(POINTS) / POINTS * (self._labels[:, None] + 1) + phase
        self.values = (0.5 + height) * torch.sin(2 * torch.pi * angle)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, indices: Tensor) -> Tensor:
        return self.values[indices]

    def labels(self) -> Tensor:
        return self._labels


class CurveViews:
    """A view of a curve begins anywhere in it, and is noisy."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        begin = torch.randint(POINTS, (len(batch), 1), generator=generator)
        moved = batch.gather(1, (begin + torch.arange(POINTS)) % POINTS)
        return moved + 0.3 * torch.randn(batch.shape, generator=generator)

    weak = __call__

    def clean(self, batch: Tensor) -> Tensor:
        return batch


def curve_encoder() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 16, 9), nn.ReLU(), nn.Conv1d(16, 32, 9, 2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 16),
    )  # fmt: skip


def test_what_nobody_thought_of_trains_and_is_evaluated_and_used(tmp_path: Path) -> None:
    views, many, some = CurveViews(), Curves("curves", 512, seed=0), Curves("more curves", 200, seed=1)
    run = lw.pretrain(
        many, method="simclr", views=views, encoder=curve_encoder(), epochs=12, out=tmp_path / "run", progress=False
    )
    assert run.config["source"]["modality"] == "curve"
    evaluation = lw.evaluate(
        run, train=many, test=some, encoder=curve_encoder(), make_encoder=curve_encoder, views=views,
        labels_per_class=[3], seeds=3, protocols=("frozen", "untrained", "raw-logistic"), progress=False,
    )  # fmt: skip
    accuracy = {row["protocol"]: row["mean"] for row in evaluation["summary"]}
    assert accuracy["frozen"] > accuracy["untrained"] + 0.1
    assert accuracy["frozen"] > accuracy["raw-logistic"] + 0.1
    embedded = lw.embed(run, some, out=tmp_path / "v.npy", encoder=curve_encoder(), views=views, progress=False)
    assert (embedded.rows, embedded.dim) == np.load(tmp_path / "v.npy").shape == (200, 16)
    page = lw.write_report(run).read_text(encoding="utf-8")
    assert "200 samples of more curves" in page


def test_a_modality_of_ones_own_must_bring_views_and_encoder(tmp_path: Path) -> None:
    with pytest.raises(lw.UserError, match="modality 'curve' has no views and encoders of its own: pass views="):
        lw.pretrain(Curves("curves", 64, seed=0), out=tmp_path / "run", progress=False)
