"""Where the labels of a folder's files come from: the subfolder that each lies in, or a table that names them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from likewise.data.files import File, by_subfolder, folder_notes, printable
from likewise.data.label_values import FILES_NEED
from likewise.data.labelling import Labelling, Labels, by_words
from likewise.data.request import Request
from likewise.data.split_folders import split_folders

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Tables in a folder of files that say what these are, as in Hugging Face's `imagefolder` and `audiofolder`."""


def metadata_of(folder: Path) -> list[Path]:
    """The tables in a folder, or in the splits that it has, that say what the files beside them are."""
    folders = [folder, *(folder / below for below in split_folders(folder).values())]
    return [path for each in folders for name in METADATA if (path := each / name).is_file()]


def label_tables(request: Request, folder: Path) -> list[Path]:
    """The tables that say what the files of a folder are: the one that was asked for, or those in the folder.

    Args:
        folder: what is read of the folder that is asked for: the whole of it, or a split.
    """
    if request.read_options.labels is not None:
        return [Path(request.read_options.labels).expanduser()]
    return list(dict.fromkeys([*metadata_of(request.data), *metadata_of(folder)]))


def folder_labelling(request: Request, folder: Path, files: Sequence[File], things: str) -> tuple[Labelling, list[str]]:
    """What says which class each of the files in a folder is of, and what people should know about it.

    Args:
        folder: where the paths of `files` start.
        things: what the files hold, in the plural.

    Raises:
        UserError: for a table of labels that cannot be read, or does not fit the files.
    """
    names = [printable(file.id) for file in files]
    notes = folder_notes(request)
    found = None
    if paths := label_tables(request, folder):
        from likewise.data.file_tables import labels_of_files  # loads Arrow, which a folder alone needs not

        found, told = labels_of_files(paths, request, folder, names, things)
        notes += told
    if found is None:
        return partial(_by_place, folder, names, things), notes
    return partial(by_words, found, f"{paths[0]} gives no labels to the {things} of {folder}; {FILES_NEED}"), notes


def _by_place(folder: Path, names: Sequence[str], things: str, kept: Int[np.ndarray, " kept"]) -> Labels:
    return by_subfolder(folder, [names[i] for i in kept], things)
