"""Lists of paths of files, given from Python, alone or in a pair (paths, labels)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from likewise.data.files import File, Recognises, is_recognised, no_file, printable
from likewise.data.labelling import Labelling, by_words
from likewise.data.pictures import reason
from likewise.data.request import Request
from likewise.errors import UserError

SAMPLED = 256


class ListedFiles(NamedTuple):
    """The files of a list."""

    files: list[File]
    missing: list[tuple[str, str]]
    """(path, reason) of those that are none."""
    labelling: Labelling


def listed_files(
    request: Request, suffixes: tuple[str, ...], recognises: Recognises, modality: str, things: str
) -> ListedFiles | None:
    """The files of a list of paths that end like this, or whose modality is asked for; None for any other data.

    More than half of the paths must end like this, or name files of unknown endings with such content.

    Args:
        suffixes: what files of the modality end in, in lower case.
        recognises: whether the content of a file of another ending, or of none, is of the modality.
        things: what they hold, in the plural.

    Raises:
        UserError: for something else in the list, labels that are not as many, or where no file is there.
    """
    data: Any = request.data
    labels: Any = None
    if isinstance(data, tuple) and len(data) == 2 and _is_list(data[0]):
        data, labels = data
    if not _is_list(data):
        return None
    paths = [os.fspath(each) if isinstance(each, str | os.PathLike) else None for each in data]
    if request.read_options.modality != modality and not _are_mostly(paths, suffixes, recognises):
        return None
    files, missing, kept = [], [], []
    for i, path in enumerate(paths):
        if path is None:
            raise UserError(
                f"sample {i:,} of {len(paths):,} must be a path, as the others are, got {type(data[i]).__name__}"
            )
        try:
            stat = Path(path).expanduser().stat()
        except (OSError, ValueError) as error:
            missing.append((printable(path), reason(error)))
            continue
        if why := no_file(stat):
            missing.append((printable(path), why))
        else:
            files.append(File.of(str(Path(path).expanduser()), stat))
            kept.append(i)
    if not files:
        raise UserError(f"none of the {len(paths):,} {things} can be read ({missing[0][0]}: {missing[0][1]})")
    words = [""] * len(files)
    if labels is not None:
        labels = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels, dtype=object)
        if labels.shape != (len(paths),):
            raise UserError(f"{len(paths):,} {things} need as many labels, got labels of shape {labels.shape}")
        words = ["" if labels[i] is None else str(labels[i]) for i in kept]
    why_none = f"the {things} have no labels; give them as a pair (paths, labels)"
    return ListedFiles(files, missing, partial(by_words, words, why_none))


def _are_mostly(paths: Sequence[str | None], suffixes: tuple[str, ...], recognises: Recognises) -> bool:
    """Whether more than half of these are paths of such files, by their endings, or by the content of some of them."""
    if 2 * sum(path is not None and path.lower().endswith(suffixes) for path in paths) > len(paths):
        return True
    some = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(SAMPLED, len(paths))).astype(int))]
    found = sum(path is not None and _is_one(path, suffixes, recognises) for path in some)
    return 2 * found > len(some)


def _is_one(path: str, suffixes: tuple[str, ...], recognises: Recognises) -> bool:
    return path.lower().endswith(suffixes) or is_recognised(Path(path).expanduser(), recognises)


def _is_list(data: Any) -> bool:
    return (
        isinstance(data, Sequence)
        and not isinstance(data, str | bytes | tuple)
        and len(data) > 0
        and isinstance(data[0], str | os.PathLike)
    )
