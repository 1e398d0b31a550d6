"""What tells trainings apart without labels: LiDAR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from likewise.data.source import Source
from likewise.losses import lidar
from likewise.methods.base import Method
from likewise.runs.config import LiDARConfig
from likewise.seeding import generator_for
from likewise.training.machine import device_name

SAMPLES, VIEWS = 256, 8  # as many views as some hundred steps' samples: little beside any training
BATCH = 128  # samples that are read at once: a usual step's
KEY = 1 << 42  # no training step's


def lidar_of(method: Method, source: Source) -> LiDARConfig | None:
    """LiDAR of the embeddings that a trained method compares; None where its views of a sample are not augmentations.

    Runs on the same data are measured with the same samples. Nothing is drawn from global generators, and the method is
    left as it was, on the CPU.

    Args:
        method: trained, with its `views`.
        source: its training data; at most `SAMPLES`, evenly spread, are read.
    """
    if not method.compares_augmentations:
        return None
    method.to(device_name())
    try:
        return lidar_in_place(method, source.read, len(source))
    finally:
        method.cpu()


@torch.no_grad()
def lidar_in_place(method: Method, read: Callable[[Tensor], Any], samples: int) -> LiDARConfig | None:
    """As `lidar_of`, on the device where the method is: during its training.

    Args:
        method: with its `views`.
        read: reads samples of the training data by their indices.
        samples: how many there are.
    """
    if not method.compares_augmentations:
        return None
    training = method.training
    indices = torch.linspace(0, samples - 1, min(SAMPLES, samples)).round().long()
    parts = []
    with torch.random.fork_rng():
        method.eval()
        for number, part in enumerate(indices.split(BATCH)):
            batch = method.transfer_batch_to_device(read(part), method.device, 0)
            views = (method.views(batch, generator_for(KEY, number, view)) for view in range(VIEWS))
            parts.append(torch.stack([method.embed(view).float().cpu() for view in views], dim=1))
        method.train(training)
    embeddings = torch.cat(parts)
    if len(embeddings) < 2 or not embeddings.isfinite().all() or (embeddings == embeddings[:, :1]).all():
        return None  # with `augment: none` the views of a sample are one
    return {
        "value": float(lidar(embeddings)),
        "samples": len(embeddings),
        "views": VIEWS,
        "dimensions": embeddings.shape[2],
    }
