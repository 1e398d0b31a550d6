"""`likewise embed`: the embedding of every sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from likewise.commands.arguments import FromPython, opened
from likewise.errors import UserError


class Embedded(NamedTuple):
    """What `embed` wrote."""

    out: str
    rows: int
    dim: int


def embed(
    run: Any,
    data: Any,
    *,
    out: str | Path,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    batch_size: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Embedded:
    """Write the embedding of every sample: ids, labels if there are any, and vectors. Streamed, never all in memory.

    Args:
        run: a finished run, or its folder.
        data: what to embed: see `likewise pretrain`.
        out: a .parquet file (columns id, label, vector) or a .npy file (vectors only).
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        label_column: of a table, that with the labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
        root: where the files of a named data set lie.
        batch_size: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        The file, how many rows it has, and how long the vectors are.
    """
    import torch

    from likewise.commands.embedding import check_ending, write_embeddings
    from likewise.commands.options import read_options_for, read_options_of
    from likewise.commands.training import adopted
    from likewise.data.open import open_source
    from likewise.evaluation import ComputeSettings
    from likewise.modalities import encoder_for
    from likewise.training.machine import device_name

    run = opened(run)
    views = views or run.views
    check_ending(Path(out))
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, got {batch_size}")
    read_options = read_options_for(run, read_options_of(modality, text_column, label_column, per_file, columns), data)
    source = open_source(data, root=root, read_options=read_options, progress=progress)
    if encoder is not None:
        run.load_encoder(adopted(encoder, views, source))
    tower, its_views = encoder_for(source.modality, run.encoder, views)
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)
    rows, dim = write_embeddings(tower, its_views, source, Path(out), compute=compute, progress=progress)
    return Embedded(str(out), rows, dim)
