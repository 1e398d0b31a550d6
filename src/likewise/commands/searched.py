"""The samples that a search has found, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from likewise.commands.labelled import open_own_samples, own_samples
from likewise.evaluation.embedding_file import StoredEmbeddings
from likewise.index.table import IndexMatch
from likewise.index.update import described
from likewise.modalities.run import Run
from likewise.modalities.towers import views_of_whole
from likewise.runs.samples import Samples, clean_samples

if TYPE_CHECKING:
    from likewise.data.source import Source


def look_of(run: Run, source: Source, places: Sequence[int]) -> Samples:
    """What the samples at some places of a source look, read or sound like."""
    views = views_of_whole(source.modality, run, run.views)
    batch = source.read(torch.tensor(places))
    return clean_samples(views, [batch]) if source.parts else Samples.of(views, views.clean(batch))


def look_of_stored(run: Run, stored: StoredEmbeddings, places: Sequence[int]) -> Samples | None:
    """What samples look like whose embeddings a file has; None unless the run has learned from just these."""
    source = own_samples(run, stored.ids.to_pylist(), progress=False)
    return None if source is None else look_of(run, source, places)


def look_of_indexed(run: Run, found: Sequence[IndexMatch]) -> Samples | None:
    """What rows of an index look like; None unless the run has learned from all of them, and none has changed."""
    source = open_own_samples(run, progress=False)
    if source is None:
        return None
    wanted = {match.id for match in found}
    place_of = {id: place for place, id in enumerate(map(str, source.ids)) if id in wanted}
    if len(place_of) < len(wanted):
        return None
    places = [place_of[match.id] for match in found]
    contents: list[Any] = described(source)(torch.tensor(places)).columns["content"]
    return look_of(run, source, places) if contents == [match.content for match in found] else None
