"""Which modality reads the data: each one is asked in turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from likewise.data.addresses import Address
from likewise.data.builtin import SETS
from likewise.data.read_options import ReadOptions
from likewise.data.request import Request
from likewise.data.resolve import resolve
from likewise.data.source import Source
from likewise.errors import UserError, nearest
from likewise.registry import MODALITIES, load_modality


def open_whole(data: Any, read_options: ReadOptions, *, root: Any = None, progress: bool = True) -> Source:
    """The source of `data`, or of a split that it has of its own; see `likewise.data.open.open_source`."""
    if isinstance(data, Source):
        return data.fitted(read_options)
    found, split = resolve(data)
    return dispatch(Request(found, split, root, read_options, progress)).fitted(read_options)


def dispatch(request: Request) -> Source:
    """The source of the first modality that takes the data.

    Only the modality that the read options name is asked, or all, in the order of the registry. A dataset object of
    another library may hold anything: it is offered as such when no modality has taken it as its own.

    Raises:
        UserError: where none takes it, with what could be read.
    """
    asked = request.read_options.modality
    names = list(MODALITIES) if asked is None else [asked]
    for name in names:  # loaded when it is asked
        source = load_modality(name).open_source(request)
        if source is not None:
            return source
    for name in names:
        source = load_modality(name).open_dataset(request)
        if source is not None:
            return source
    raise UserError(_refusal(request, names))


def folder_modalities(read_options: ReadOptions) -> Iterator[Any]:
    """The modalities that a folder of files may be of, in the order in which they are asked, loaded one by one."""
    names = MODALITIES if read_options.modality is None else (read_options.modality,)
    for name in names:
        modality = load_modality(name)
        if modality.suffixes:
            yield modality


def _refusal(request: Request, names: list[str]) -> str:
    data = request.data
    given = f"{data}:{request.split}" if request.split else str(data)
    possible = f"possible are {'; '.join(load_modality(name).accepts for name in names)}"
    if isinstance(data, str):
        usual = f"; --method {load_modality('image').default_method} takes images"
        return f"{given} holds images, where {request.read_options.modality} samples are asked for; {possible}{usual}"
    if isinstance(data, Address):
        wanted = " or ".join(load_modality(name).nouns[1] for name in names)
        return f"{given} holds no {wanted}"
    if not isinstance(data, Path):
        return f"cannot read samples from a {type(data).__name__}; {possible}; a Source of likewise.data.source"
    if not data.exists():
        return (
            f"{given!r} is neither a known name nor an existing path{nearest(given, SETS)}; possible are "
            f"{', '.join(SETS)}; a folder of images, recordings or texts, a table or another file: see the guides"
        )
    modalities = list(folder_modalities(request.read_options))
    if data.is_dir() and modalities:
        count = sum(len(files) for _, _, files in os.walk(data))
        nouns = [modality.nouns[1] for modality in modalities]
        listed = " or ".join([", ".join(nouns[:-1]), nouns[-1]] if len(nouns) > 1 else nouns)
        types = " ".join(suffix for modality in modalities for suffix in modality.suffixes)
        held = "" if request.read_options.modality is None else _other_samples(data, request.read_options.modality)
        return f"{given} holds no {listed}: it has {count:,} other files, and the types read are {types}{held}"
    return f"cannot read samples from the {'folder' if data.is_dir() else 'file'} {given}; {possible}"


def _other_samples(folder: Path, asked: str) -> str:
    """What a folder holds, where it is no samples of the modality that was asked for, and a method for these."""
    suffixes = [Path(name).suffix.lower() for _, _, files in os.walk(folder) for name in files]
    others = [load_modality(name) for name in MODALITIES if name != asked]
    counts = [(sum(suffix in other.suffixes for suffix in suffixes), other) for other in others]
    count, most = max(counts, key=lambda each: each[0])
    if count == 0:
        return ""
    return f"; it has {count:,} {most.nouns[count > 1]}, which --method {most.default_method} takes, for one"
