"""The index of a run's embeddings: made, brought up to date, and searched."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from likewise import __version__
from likewise.atomic import check_writable, telling_of_the_disk
from likewise.commands.options import list_skipped, skipped_note
from likewise.console import count_of, tell
from likewise.errors import Interrupted, UserError, needs
from likewise.evaluation.features import stream
from likewise.evaluation.inputs import ComputeSettings
from likewise.index.table import TABLE, EmbeddingIndex, IndexMatch, check_place
from likewise.index.update import IndexUpdate, update_index
from likewise.modalities.embed import embeddings_of
from likewise.modalities.encoder_digest import encoder_digest
from likewise.own_files import INDEX_LOCK
from likewise.runs.classifier import relative_to
from likewise.runs.lock import folder_lock
from likewise.training.callbacks.progress import progress_bar

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.modalities.run import Run

PART = 4096
"""Samples that are added at once, about: a killed command repeats no more."""


def check_index(run: Run, folder: Path) -> None:
    """Raise `UserError` unless embeddings of a run can be put into an index: before the data is read.

    The index may not be there yet.
    """
    needs("lancedb", "index")
    check_place(folder)
    with telling_of_the_disk(folder, "name another place"):
        check_writable(folder)
    if run.finished and EmbeddingIndex.is_in(folder):
        open_index(run, folder)


def open_index(run: Run, folder: Path) -> EmbeddingIndex:
    """The index in a folder, of the encoder of a run.

    Raises:
        UserError: when there is none, or it is of another encoder.
    """
    index = EmbeddingIndex.open(folder)
    index.check_encoder(encoder_digest(run), run.path)
    return index


def embed_into(
    folder: Path,
    run: Run,
    views: Any,
    source: Source,
    *,
    out: str,
    compute: ComputeSettings,
    prune: bool,
    progress: bool,
) -> IndexUpdate:
    """Bring the index in a folder, which is made if need be, to what a source is.

    Raises:
        UserError: for an index of another encoder or of other samples, or a disk that is full.
    """
    featurize = embeddings_of(run.encoder, views, source, compute=compute)

    def embed(places: Int[torch.Tensor, " n"]) -> Float32[np.ndarray, "n dim"]:
        return torch.cat(list(stream(featurize, source, places, batch_size=compute.batch_size))).numpy()

    done = 0
    with folder_lock(folder, INDEX_LOCK, "written to"), progress_bar(show=progress) as report:

        def counted(count: int) -> None:
            nonlocal done
            done = count
            report(count, len(source), "embedding")

        try:
            if EmbeddingIndex.is_in(folder):
                index = open_index(run, folder)
            else:
                index = EmbeddingIndex.create(folder, _info(run, folder, source, dim=embed(torch.tensor([0])).shape[1]))
            _check_modality(index, source)
            updated = update_index(
                index,
                source,
                embed,
                out=out,
                at_once=compute.batch_size * max(1, PART // compute.batch_size),
                prune=prune,
                progress=progress,
                report=counted,
            )
        except KeyboardInterrupt:
            seen = f"{done:,} of {count_of(len(source), 'sample')}"
            raise Interrupted(f"stopped after {seen}; the same command goes on") from None
    listing = list_skipped(source, folder / TABLE)
    if left_out := skipped_note(source, str(listing)):
        tell(f"{source.name}: {count_of(len(source), 'sample')}{left_out}", show=progress)
    return updated


def search_index(
    index: EmbeddingIndex, query: Float[torch.Tensor, " dim"], top: int, where: str | None, exact: bool
) -> list[IndexMatch]:
    """The rows that are most similar to a query, the most similar first."""
    dim = index.info["encoder"]["dim"]
    if len(query) != dim:
        raise UserError(f"{index.folder} has vectors of {dim} numbers, the encoder gives {len(query)}")
    return index.nearest(query.numpy(), top, where=where, exact=exact)


def _check_modality(index: EmbeddingIndex, source: Source) -> None:
    """An encoder of pairs has a tower for each modality: what they give is not compared in one index."""
    modality = index.info["encoder"]["modality"]
    if modality != source.modality:
        raise UserError(
            f"the index {index.folder} is of {modality} samples, {source.name} is {source.modality}: make another index"
        )


def _info(run: Run, folder: Path, source: Source, *, dim: int) -> dict[str, Any]:
    return {
        "likewise": __version__,
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "encoder": {
            "run": str(run.path.resolve()),
            "relative": relative_to(folder, run.path),
            "digest": encoder_digest(run),
            "dim": dim,
            "modality": source.modality,
        },
    }
