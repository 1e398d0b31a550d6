"""The gallery of a run: samples with their embeddings, for its map and its nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from likewise.atomic import write_atomically
from likewise.evaluation import Machine, encode
from likewise.modalities import tower_of
from likewise.runs.samples import gallery_arrays

if TYPE_CHECKING:
    from torch import nn

    from likewise.data.source import Source
    from likewise.methods.base import Views
    from likewise.runs.run import Run

GALLERY = 1000  # samples at most, spread evenly over the source


def save_gallery(run: Run, encoder: nn.Module, source: Source, views: Views, *, labelled: bool) -> None:
    """Write `gallery.npz` into the run: embeddings, ids, what samples look like and say, and labels if asked for."""
    tower, its_views = tower_of(encoder, views, source.modality)
    indices = torch.linspace(0, len(source) - 1, min(GALLERY, len(source))).round().long()
    vectors = encode(tower.cpu(), its_views, source, indices, machine=Machine(torch.device("cpu")))
    ids = source.ids
    arrays: dict[str, Any] = {
        "embeddings": vectors.numpy(),
        "ids": np.array([ids[i] for i in indices.tolist()]),
    }
    shown = views if source.modality == "pair" else its_views
    arrays |= gallery_arrays(shown, (source.read(part) for part in indices.split(256)))
    if labelled:
        arrays |= {"labels": source.labels()[indices].numpy(), "classes": np.array(source.classes)}
    write_atomically(run.path / "gallery.npz", lambda file: np.savez(file, **arrays))
