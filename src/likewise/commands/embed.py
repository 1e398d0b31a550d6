"""`likewise embed`: the embedding of every sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

from likewise.atomic import check_file_place
from likewise.checks import check_choice, check_int
from likewise.commands import FromPython
from likewise.commands.caching import caching
from likewise.console import count_of, tell, tell_notes
from likewise.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from likewise.index.update import IndexUpdate

MOST_PARTS = 1024


@dataclass(frozen=True, repr=False)
class Embeddings:
    """The embeddings of n samples, in memory."""

    ids: list[str]
    labels: list[str | None] | None
    """The name of each sample's class, None for a sample without a label; None where there are no labels."""
    classes: list[str]
    """The names of the classes; empty where there are no labels."""
    vectors: np.ndarray
    """Float32 `(n, dim)`."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(file, reason) of what is no sample."""

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        classes = f", classes={len(self.classes)}" if self.labels is not None else ""
        return f"Embeddings(samples={len(self)}, dim={self.vectors.shape[1]}{classes})"

    def __str__(self) -> str:
        return "{:,} embeddings of {} dimensions".format(*self.vectors.shape)

    def to_json(self) -> dict[str, Any]:
        return {
            "ids": self.ids,
            "labels": self.labels,
            "classes": self.classes,
            "vectors": self.vectors.tolist(),
            "skipped": self.skipped,
        }


class EmbeddingsFile(NamedTuple):
    """A file of embeddings: its path, how many rows it has, and their dimension."""

    out: str
    rows: int
    dim: int

    def __str__(self) -> str:
        return f"{self.out}: {self.rows:,} rows, {self.dim} dimensions"

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


@caching
def embed(
    run: Any,
    data: Any,
    *,
    out: Annotated[str | Path | None, Parameter(required=True)] = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    batch_size: int = 512,
    places: bool = False,
    part: str | None = None,
    devices: int | None = None,
    engine: Literal["ray"] | None = None,
    prune: bool = False,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Embeddings | EmbeddingsFile | IndexUpdate:
    """Compute the embedding of every sample: ids, labels if there are any, and vectors.

    In parts, each process writes a file of its own into the folder `out`, and goes on where it stopped. Together
    they are what one process writes. An index is brought up to date: only samples that it does not have are embedded,
    and those that have changed are replaced. A command that was killed goes on where it was.

    Args:
        run: a finished run, or its folder.
        data: what to embed: see `likewise pretrain`.
        out: a .parquet file (columns id, label, vector) or a .npy file (vectors, with their ids a line each in .ids.txt
            beside it), written batch by batch; files that could not be read are listed in .skipped.csv beside it. Or
            lance://FOLDER, an index (extra `index`), or, for parts, a folder for part-00001-of-00004.parquet and so on.
            From Python, the embeddings are returned in memory if not given.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        cache: where decoded images and recordings are kept: see `likewise pretrain`.
        batch_size: samples at a time.
        places: of images, write the features of each place before the pooling, in place of embeddings: a .npy file
            (n, places, d). Places are patches, or those of the last feature map, row by row.
        part: which of several parts this process embeds, such as 2/4; `out` is then a folder. Under torchrun or srun,
            that of its rank.
        devices: so many parts, each in a process of its own, on a GPU of its own where there are some.
        engine: ray, to embed the parts on the Ray cluster that RAY_ADDRESS names or this machine belongs to, or else on
            one that is started here (extra `ray`): `devices` parts, or one for each GPU or machine that it has.
        prune: delete from an index what the data no longer has.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        The embeddings, or, with `out`, the file that was written, its number of rows and their dimension; of an index,
        also how many samples were new, changed or gone.

    Raises:
        UserError: for a run that is not finished, data that its encoder does not take, or an index of another encoder.
    """
    import numpy as np
    import torch

    from likewise.commands.in_parts import embed_in_processes, embed_part, part_of
    from likewise.commands.indexed import check_index, embed_into
    from likewise.commands.on_ray import embed_on_ray
    from likewise.commands.options import (
        as_run,
        check_read_options,
        list_skipped,
        option_words,
        read_options_for,
        read_options_of,
        skipped_note,
    )
    from likewise.data.blocks import cut_notes
    from likewise.data.open import open_source
    from likewise.evaluation import ComputeSettings
    from likewise.evaluation.embedding_file import SUFFIXES, check_suffix, write_embeddings
    from likewise.evaluation.embedding_parts import check_parts_folder
    from likewise.index.address import index_folder
    from likewise.modalities.build import adopt_for
    from likewise.modalities.embed import stream_embeddings, stream_places
    from likewise.training.callbacks.progress import progress_bar
    from likewise.training.machine import device_name

    run = as_run(run)
    views = views or run.views
    folder = index_folder(out)
    # Under a launcher, a folder gets the part of each process; one file or an index is of all samples.
    one = out is None or folder is not None or Path(out).suffix in SUFFIXES
    share = None if one and part is None else part_of(part)
    in_processes = devices is not None or engine is not None
    if part is not None and engine is not None:
        raise UserError("--part and --engine exclude each other: the second starts a task for each part")
    if part is not None and devices is not None:
        raise UserError("--part and --devices exclude each other: the second starts a process for each part")
    if (share is not None or in_processes) and (folder is not None or out is None):
        raise UserError("--part, --devices and --engine need a folder for Parquet files as --out")
    if prune and folder is None:
        raise UserError("--prune applies to an index (--out lance://FOLDER): leave it out")
    if places and (folder is not None or out is None):
        raise UserError("--places needs --out with a file that ends in .npy, got none")
    if places and (share is not None or in_processes):
        raise UserError("--places writes one .npy file: leave --part, --devices and --engine out")
    if folder is not None:
        check_index(run, folder)
    elif share is not None or in_processes:
        check_parts_folder(Path(str(out)))
        check_file_place(Path(str(out)) / "part")
    elif out is not None:
        check_suffix(Path(out))
        if places and Path(out).suffix != ".npy":
            raise UserError(f"--places needs --out with a file that ends in .npy, got {out}")
        check_file_place(Path(out))
    check_int(batch_size=batch_size)
    check_int(1, MOST_PARTS, devices=devices)
    check_choice(("ray",), engine=engine)
    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
        "per_file": per_file or None,
        "columns": columns,
    }
    check_read_options({**reading, "root": root}, data)
    if in_processes:
        if not isinstance(data, str | Path) or encoder is not None:
            name = "devices" if engine is None else "engine"
            raise UserError(f"--{name} needs data that each process can open, by a name, a path or an address")
        options = {"modality": modality, **reading, "root": root, "cache": cache, "batch_size": batch_size, "out": out}
        words = ["likewise", "embed", str(run.path), str(data), *option_words(options)]
        if engine is None:
            assert devices is not None
            return EmbeddingsFile(str(out), *embed_in_processes(words, Path(str(out)), devices, progress=progress))
        words += option_words({"engine": engine, "devices": devices})
        found = embed_on_ray(run.path, data, options, words, parts=devices, progress=progress)
        return EmbeddingsFile(str(out), *found)
    asked = read_options_of(modality, **reading)
    source = open_source(data, root=root, read_options=read_options_for(run, asked, data), progress=progress)
    tell_notes(source.notes, show=progress)
    if encoder is not None:
        run.load_encoder(adopt_for(encoder, views, source))
    tell_notes(cut_notes(source), show=progress)
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)
    if share is not None:
        place = Path(str(out))
        file, rows, dim = embed_part(run, views, source, place, share, compute=compute, progress=progress)
        return EmbeddingsFile(str(file), rows, dim)
    if folder is not None:
        return embed_into(folder, run, views, source, out=str(out), compute=compute, prune=prune, progress=progress)
    with progress_bar(show=progress) as report:

        def counted(parts: Any) -> Any:
            done = 0
            for part in parts:
                done += len(part)
                report(done, len(source), "embedding")
                yield part

        made = stream_places if places else stream_embeddings
        parts = counted(made(run.encoder, views, source, compute=compute))
        if out is not None:
            written = EmbeddingsFile(str(out), len(source), write_embeddings(parts, source, Path(out)))
            listing = list_skipped(source, Path(out))
            if left_out := skipped_note(source, str(listing)):
                tell(f"{source.name}: {count_of(len(source), 'sample')}{left_out}", show=progress)
            return written
        vectors = np.concatenate([part.numpy() for part in parts])
    classes = list(source.classes)
    named = [classes[label] if label >= 0 else None for label in source.labels().tolist()] if classes else None
    if left_out := skipped_note(source, "skipped of the result"):
        tell(f"{source.name}: {count_of(len(source), 'sample')}{left_out}", show=progress)
    return Embeddings(list(source.ids), named, classes, vectors, list(source.skipped))
