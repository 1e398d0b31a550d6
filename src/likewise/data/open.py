"""The door of every data argument: from a name, a path or an object in memory to a `Source`."""

from __future__ import annotations

import os
from typing import Any

from likewise.data.class_splits import class_split
from likewise.data.dispatch import open_whole
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source
from likewise.data.splits import held_out_split


def open_source(
    data: Any,
    *,
    root: str | os.PathLike[str] | None = None,
    read_options: ReadOptions | None = None,
    progress: bool = True,
    **how: Any,
) -> Source:
    """Anything that holds samples, as a `Source`.

    Args:
        data: one of: a `Source`; a name (`digits`, `mnist`, `fashion-mnist`, `cifar10`, `cifar100`, `stl10`); the path
            of a folder of images, recordings or text files, of an `.npy` or `.npz` file, of a `.txt` file, or of a
            table (`.csv`, `.tsv`, `.jsonl`, `.parquet`), of shards (`.tar`, `.parquet`) or a folder, a pattern or an
            address of them; a NumPy array or torch tensor, or a pair (images, labels) of them; a list of texts or of
            paths; a `torch.utils.data.Dataset` or Hugging Face `datasets.Dataset`. A name
            or path may end in `:split`: `stl10:unlabeled`, `photos:train` (the subfolder `train`, or the part that
            `hold_out` makes), `photos:base` and `photos:novel` (other classes: `by_class`). A name wins over a folder
            of that name, which is written `./digits`.
        root: where the files of a named set lie or go: `$LIKEWISE_DATA` if None, or else `data/`.
        read_options: how files become samples. Images are resized and centre-cropped to `size` x `size` pixels and
            given `channels` (1 or 3); None keeps the shape that arrays and named sets have, and takes the usual one of
            a folder (`ImageFolder`) or a dataset.
        progress: report on stderr.
        how: fields of `read_options`, one by one: `size=32`.

    Raises:
        UserError: for what is unknown, missing or unreadable.
    """
    read_options = (read_options or ReadOptions()).with_(**how)
    for made in (held_out_split, class_split):
        if (part := made(data, read_options, root=root, progress=progress)) is not None:
            return part
    return open_whole(data, read_options, root=root, progress=progress)
