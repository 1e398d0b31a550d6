"""The peer: lightly's SimCLR as its documentation has it (docs.lightly.ai, examples, SimCLR).

`SimCLRTransform` on PIL images in a DataLoader with workers, batch 256, projection head, `NTXentLoss()`, SGD at 0.06.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from likewise.data.source import Source
from likewise.training.machine import device_name

BATCH, RATE = 256, 0.06


class Trained(NamedTuple):
    encoder: nn.Module
    seconds: float
    """Of the steps; building the model and the loader is left out."""
    samples_per_second: float


class Pictures(Dataset[list[Tensor]]):
    """Images of a source, one at a time, as PIL reads them from files."""

    def __init__(self, source: Source, transform: Callable[[Any], list[Tensor]]) -> None:
        self.images = source.read(torch.arange(len(source))).permute(0, 2, 3, 1).squeeze(3).numpy()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[Tensor]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index]))


def train(
    source: Source,
    views: Any,
    encoder: Any,
    *,
    epochs: int,
    seed: int,
    bfloat16: bool = False,
    steps: int | None = None,
    ends: list[float] | None = None,
) -> Trained:
    """Train `encoder`, which has its `dim`, on images of `views.size` pixels without blur.

    Args:
        source: the images.
        views: of likewise: their size and normalization.
        encoder: to train.
        epochs: passes over them.
        seed: of torch.
        bfloat16: by autocast, with channels last, where its documentation has float32.
        steps: where to stop, before the epochs are over.
        ends: gets the time at the end of each step.
    """
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform

    torch.manual_seed(seed)
    normalize = {"mean": list(views.mean), "std": list(views.std)}
    transform = SimCLRTransform(input_size=views.size, gaussian_blur=0.0, normalize=normalize)
    pictures = Pictures(source, transform)
    batch = min(BATCH, len(pictures))
    loader = DataLoader(pictures, batch, shuffle=True, drop_last=True, num_workers=os.cpu_count() or 1)
    device = device_name()
    layout = torch.channels_last if bfloat16 else torch.contiguous_format
    head = SimCLRProjectionHead(encoder.dim, encoder.dim, 128)
    model = nn.Sequential(encoder, head).to(device, memory_format=layout).train()
    criterion = NTXentLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    done, began = 0, time.perf_counter()
    for views_of_batch in islice(chain.from_iterable(repeat(loader, epochs)), steps):
        first, second = (view.to(device, memory_format=layout) for view in views_of_batch)
        with torch.autocast(device, torch.bfloat16) if bfloat16 else nullcontext():
            projections = model(first), model(second)
        loss = criterion(*(each.float() for each in projections))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        done += 1
        if ends is not None:
            ends.append(time.perf_counter())
    seconds = time.perf_counter() - began
    return Trained(encoder, seconds, done * batch / seconds)
