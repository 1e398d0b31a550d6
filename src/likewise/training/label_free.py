"""What tells trainings apart without labels, measured once at the end: LiDAR."""

from __future__ import annotations

import torch

from likewise.data.source import Source
from likewise.losses import lidar
from likewise.methods.base import Method
from likewise.runs.config import LiDARConfig
from likewise.seeding import generator_for
from likewise.training.machine import device_name

SAMPLES, VIEWS = 256, 8  # as many views as some hundred steps' samples: little beside any training
BATCH = 128  # samples that are read at once: a usual step's
KEY = 1 << 42  # no training step's


@torch.no_grad()
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
    training = method.training
    indices = torch.linspace(0, len(source) - 1, min(SAMPLES, len(source))).round().long()
    parts = []
    with torch.random.fork_rng():
        method.to(device_name()).eval()
        for number, part in enumerate(indices.split(BATCH)):
            samples = method.transfer_batch_to_device(source.read(part), method.device, 0)
            views = (method.views(samples, generator_for(KEY, number, view)) for view in range(VIEWS))
            parts.append(torch.stack([method.embed(view).float().cpu() for view in views], dim=1))
        method.cpu().train(training)
    embeddings = torch.cat(parts)
    if len(embeddings) < 2 or not embeddings.isfinite().all() or (embeddings == embeddings[:, :1]).all():
        return None  # with `augment: none` the views of a sample are one
    return {
        "value": float(lidar(embeddings)),
        "samples": len(embeddings),
        "views": VIEWS,
        "dimensions": embeddings.shape[2],
    }
