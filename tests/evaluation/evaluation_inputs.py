"""Labelled sources in memory, views without a modality, and encoders whose worth is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from likewise.data.source import Source
from likewise.evaluation import evaluate_encoder


class Labelled(Source):
    """Samples in memory, and their labels."""

    modality = "image"

    def __init__(self, batch: Tensor, labels: Sequence[int] | Tensor, classes: Sequence[str], name: str) -> None:
        self.batch, self.name, self.classes = batch, name, list(classes)
        self._labels = torch.as_tensor(labels, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.batch)

    def read(self, indices: Tensor) -> Tensor:
        return self.batch[indices]

    def labels(self) -> Tensor:
        return self._labels


class PixelViews:
    """Plain: to [-1, 1]. Gentle: the same, a little brighter or darker."""

    def clean(self, batch: Tensor) -> Tensor:
        return batch.float() / 127.5 - 1

    def weak(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return self.clean(batch) + 0.1 * torch.randn(len(batch), 1, 1, 1, generator=generator)


class SmallCNN(nn.Module):
    """Two convolutions with batch normalisation."""

    dim = 16

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, view: Tensor) -> Tensor:
        return self.body(view)


class Telltale(nn.Module):
    """Knows that the first pixel is 20·label, and gives the label's one-hot code, a little noisy."""

    dim = 10

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Linear(10, 10, bias=False)
        nn.init.eye_(self.gain.weight)

    def forward(self, view: Tensor) -> Tensor:
        label = ((view[:, 0, 0, 0] + 1) * 127.5 / 20).round().clamp(0, 9).long()
        return self.gain(nn.functional.one_hot(label, 10).float() + 0.01 * view[:, 0, 1, :1])


def telltale(count: int, seed: int, name: str, classes: int = 4) -> Labelled:
    """Noise of 6x6 pixels, but for the first pixel: 20·label, drowned by the others, which go up to 255."""
    rng = np.random.default_rng(seed)
    batch = rng.integers(0, 256, (count, 1, 6, 6), dtype=np.uint8)
    labels = np.arange(count) % classes
    batch[:, 0, 0, 0] = 20 * labels
    return Labelled(torch.from_numpy(batch), labels.tolist(), [f"c{i}" for i in range(classes)], name)


def dense(trial: dict[str, Any], classes: int) -> np.ndarray:
    """A trial's confusion matrix."""
    matrix = np.zeros((classes, classes), dtype=int)
    for true, predicted, count in trial["confusion"]:
        matrix[true, predicted] = count
    return matrix


def noise(count: int, seed: int, name: str, classes: int = 4) -> Labelled:
    """Pictures that say nothing about their labels."""
    rng = np.random.default_rng(seed)
    batch = rng.integers(0, 256, (count, 1, 6, 6), dtype=np.uint8)
    return Labelled(
        torch.from_numpy(batch),
        (np.arange(count) % classes).tolist(),
        [f"c{i}" for i in range(classes)],
        name,
    )


def digits() -> tuple[Labelled, Labelled]:
    """scikit-learn's digits: 1,297 training and 500 test samples, 8x8."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    batch = torch.from_numpy((data.images * 255 / 16).round().astype(np.uint8))[order][:, None]
    labels = torch.from_numpy(data.target.astype(np.int64))[order]
    classes = [str(i) for i in range(10)]
    return (
        Labelled(batch[:1297], labels[:1297], classes, "digits:train"),
        Labelled(batch[1297:], labels[1297:], classes, "digits:test"),
    )


def evaluate(
    encoder: nn.Module | None = None, train: Labelled | None = None, test: Labelled | None = None, **options: Any
) -> dict[str, Any]:
    """A small evaluation: 1 and 3 labels of four classes, two seeds, 24 steps."""
    torch.manual_seed(0)
    given = encoder or SmallCNN()
    options = {"labels_per_class": (1, 3), "seeds": 2, "steps": 24, "make_encoder": SmallCNN, "given": given} | options
    torch.manual_seed(0)
    return evaluate_encoder(
        encoder or SmallCNN(),
        PixelViews(),
        telltale(80, 0, "pile:train") if train is None else train,
        telltale(60, 1, "pile:test") if test is None else test,
        **options,
    )
