"""The gallery of a run: samples with their embeddings, for its map and its nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from likewise.data.source import labelled_part
from likewise.evaluation import ComputeSettings, encode
from likewise.modalities.towers import encoder_for
from likewise.runs.gallery import Gallery
from likewise.runs.samples import clean_samples

if TYPE_CHECKING:
    from torch import nn

    from likewise.data.source import Source
    from likewise.methods.base import Views
    from likewise.modalities.run import Run

GALLERY = 1000  # samples at most, spread evenly over the source


def save_gallery(run: Run, encoder: nn.Module, source: Source, views: Views, *, labelled: bool) -> None:
    """Keep samples with their embeddings in the run; if `labelled`, of those that have a label."""
    source = labelled_part(source) if labelled else source
    tower, its_views = encoder_for(source.modality, encoder, views)
    indices = torch.linspace(0, len(source) - 1, min(GALLERY, len(source))).round().long()
    vectors = encode(tower.cpu(), its_views, source, indices, compute=ComputeSettings(torch.device("cpu")))
    visible = views if source.modality == "pair" else its_views
    ids = source.ids
    Gallery(
        samples=clean_samples(visible, (source.read(part) for part in indices.split(256))),
        embeddings=vectors.numpy(),
        ids=[ids[i] for i in indices.tolist()],
        labels=source.labels()[indices].numpy() if labelled else None,
        classes=source.classes if labelled else [],
    ).save(run.path)
