"""Samples that are given one by one from Python: paths, Pillow images, arrays, texts. Each becomes one sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, Int16, UInt8
from PIL import Image
from torch import Tensor

from likewise.console import count_of
from likewise.data import audio, images
from likewise.data.arrays import ArraySource, levels, planes
from likewise.data.batches import Ragged
from likewise.data.files import in_threads
from likewise.data.levels import Levels
from likewise.data.open import open_source
from likewise.data.pictures import decode, fit, reason, uniform
from likewise.data.read_options import ReadOptions
from likewise.data.source import Source, Subset
from likewise.errors import UserError, needs

SUFFIXES = {"image": images.SUFFIXES, "audio": audio.SUFFIXES}


class Items(Source):
    """Samples that are made of things when they are read.

    Args:
        items: the things.
        batch: makes a batch of some of them, given as (index, thing).
        modality: of the samples.
    """

    name = "samples"

    def __init__(self, items: Sequence[Any], batch: Callable[[list[tuple[int, Any]]], Any], *, modality: str) -> None:
        self.items = items
        self.batch = batch
        self.modality = modality

    def __len__(self) -> int:
        return len(self.items)

    def read(self, indices: Int[Tensor, " n"]) -> Any:
        return self.batch([(i, self.items[i]) for i in indices.tolist()])


@runtime_checkable
class TextEncoding(Protocol):
    """What makes token ids of texts: `likewise.views.text.TextViews`."""

    max_tokens: int

    def tokenize(self, texts: list[str]) -> list[list[int]]: ...
    def framed(self, ids: list[list[int]]) -> Int[Tensor, "n t"]: ...


class RecordingItems(Items):
    """Recordings that are read from files.

    Attributes:
        longer_read: of those that were read, the indices of the ones that are cut to their first piece.
    """

    def __init__(self, paths: Sequence[Any], rate: int) -> None:
        def made(numbered: tuple[int, Any]) -> Int16[Tensor, " length"]:
            index, item = numbered
            if not isinstance(item, str | os.PathLike):
                kinds = "paths, or 1-D arrays"
                raise UserError(f"recordings must all be {kinds}, sample {index} is {type(item).__name__}")
            try:
                sound = audio.decode(Path(item).expanduser(), rate)
            except Exception as error:
                raise UserError(f"recording {str(item)!r} can't be read: {reason(error)}") from error
            if sound.pieces > 1:
                self.longer_read.add(index)
            return torch.from_numpy(sound.samples[: len(sound.samples) // sound.pieces])

        def batch(numbered: list[tuple[int, Any]]) -> Ragged:
            return Ragged.of(in_threads(made, numbered, ahead=len(numbered)))

        super().__init__(paths, batch, modality="audio")
        self.longer_read: set[int] = set()


class FirstPieces(Subset):
    """Of recordings that are cut into pieces, the first ones.

    Attributes:
        longer_read: the indices of those that have others.
    """

    def __init__(self, source: Any) -> None:
        _, first, pieces = np.unique(source.recordings.numpy(), return_index=True, return_counts=True)
        super().__init__(source, torch.from_numpy(first))
        self.longer_read: set[int] = set(np.flatnonzero(pieces > 1).tolist())


def longer_note(source: Source) -> list[str]:
    """That recordings which were read are longer than one piece, and only their first piece is used."""
    longer = source.longer_read if isinstance(source, RecordingItems | FirstPieces) else None
    if not longer:
        return []
    counted = count_of(len(longer), "recording is", "recordings are")
    return [
        f"{counted} longer than {audio.LONGEST} s: only the first piece is encoded (the first one: sample "
        f"{min(longer)}); likewise.embed encodes every piece"
    ]


class TextItems(Items):
    """Texts as token ids.

    Attributes:
        lengths_read: of the texts that were read, by index, how many tokens they have: `[CLS]`, `[SEP]` and those that
            are cut off among them.
    """

    def __init__(self, texts: Sequence[str], views: TextEncoding) -> None:
        def batch(numbered: list[tuple[int, str]]) -> Tensor:
            ids = views.tokenize([text for _, text in numbered])
            self.lengths_read |= {i: 2 + len(row) for (i, _), row in zip(numbered, ids, strict=True)}
            return views.framed(ids)

        super().__init__(texts, batch, modality="text")
        self.max_tokens = views.max_tokens
        self.lengths_read: dict[int, int] = {}


def listed(samples: Any) -> list[Any] | np.ndarray | Tensor:
    """One or several samples as a list of them, or as the array that holds them; a single one is a list of one.

    Raises:
        UserError: there are none, or this is nothing that holds samples.
    """
    if hasattr(samples, "__array__") and not isinstance(samples, Tensor | Image.Image):  # such as a column of a table
        samples = np.asarray(samples)
    if isinstance(samples, np.ndarray) and samples.dtype.kind in "OUS":
        samples = samples.reshape(-1).tolist() if samples.ndim < 2 or samples.shape[1:] == (1,) else samples.tolist()
    if isinstance(samples, str | os.PathLike | Image.Image):
        return [samples]
    if not is_array(samples):
        if not isinstance(samples, Sequence) or isinstance(samples, bytes):
            raise UserError(
                "samples must be a list, an array, an image, a path or a text, got " + type(samples).__name__
            )
        samples = list(samples)
    if len(samples) == 0:
        raise UserError("samples must hold at least one, got none")
    return samples


def is_array(samples: Any) -> bool:
    return isinstance(samples, np.ndarray | Tensor)


def likely_modality(samples: Any, known: Sequence[str]) -> str | None:
    """What samples are, of the modalities in `known`, from their types alone; None where that does not tell.

    A `str` is a text if texts are known, else a path.
    """
    if len(known) == 1:
        return known[0]
    if is_array(samples):
        kinds = {1: ["audio"], 2: ["image", "audio"]}.get(samples.ndim, ["image"])
    else:
        first = samples[0]
        if isinstance(first, str) and "text" in known:
            media = [kind for kind in known if first.lower().endswith(SUFFIXES.get(kind, ()))]
            kinds = ["text", *media] if media and Path(first).exists() else ["text"]
        elif isinstance(first, str | os.PathLike):
            path = os.fspath(first).lower()
            kinds = [kind for kind in SUFFIXES if path.endswith(SUFFIXES[kind])] or list(SUFFIXES)
        elif is_array(first):
            kinds = ["audio" if first.ndim == 1 else "image"]
        else:
            kinds = ["image"]
    fitting = [kind for kind in kinds if kind in known]
    return fitting[0] if len(fitting) == 1 else None


def image_items(samples: Any, read_options: ReadOptions) -> Source:
    """Images of `size` and `channels` from paths, Pillow images or arrays; or from one array of one or of many.

    An array of two axes is one image, and of three if the last one is 1, 3 or `channels`: all others are many, as in
    `likewise.data.arrays`. Numbers that are no bytes are of `range`.
    """
    size, channels, range = read_options.size, read_options.channels, read_options.range
    if is_array(samples):
        one = samples.ndim == 2 or (samples.ndim == 3 and samples.shape[2] in (1, 3, channels))
        pixels = planes(samples[None] if one else samples, "samples", channels)
        return ArraySource(pixels, name="samples", range=range).fitted(read_options)

    def made(numbered: tuple[int, Any]) -> UInt8[np.ndarray, "c h w"]:
        index, item = numbered
        if is_array(item):
            pixels = levels(planes(item[None], f"sample {index}", channels), f"sample {index}", range)
            return fit(torch.from_numpy(np.ascontiguousarray(pixels)), size, channels)[0].numpy()
        if size is None or channels is None:
            raise UserError("the size of these images is not known, as the views are your own: give arrays")
        if isinstance(item, Image.Image):
            return uniform(item, size, channels, range and Levels(range))
        if not isinstance(item, str | os.PathLike):
            kinds = "a path, a Pillow image or an array"
            raise UserError(f"sample {index} must be an image: {kinds}, got {type(item).__name__}")
        try:
            return decode(Path(item).expanduser(), size, channels, range and Levels(range))
        except Exception as error:
            raise UserError(f"image {str(item)!r} can't be read: {reason(error)}") from error

    def batch(numbered: list[tuple[int, Any]]) -> UInt8[Tensor, "n c h w"]:
        pictures = list(in_threads(made, numbered, ahead=len(numbered)))
        if len({picture.shape for picture in pictures}) > 1:
            raise UserError("the images differ in shape, and the views are your own: give images of one shape")
        return torch.from_numpy(np.stack(pictures))

    return Items(samples, batch, modality="image")


def audio_items(samples: Any, read_options: ReadOptions, *, sample_rate: int | None) -> Source:
    """Recordings at `read_options.sample_rate` from paths or from arrays; of a long one, its first piece.

    Args:
        sample_rate: of arrays, in Hz; that of `read_options` if not given.
    """
    rate = read_options.sample_rate
    if rate is None:
        raise UserError("the sample rate of these recordings is not known: give them as a Source")
    if is_array(samples):
        samples = [samples] if samples.ndim == 1 else list(samples)
    if all(is_array(item) for item in samples):
        given = ReadOptions(modality="audio", sample_rate=sample_rate or rate)
        source: Any = open_source(list(samples), read_options=given, progress=False).fitted(read_options)
        if source.skipped:
            index, why = source.skipped[0]
            raise UserError(f"recording {index} can't be used: {why}")
        return FirstPieces(source)
    if sample_rate is not None:
        raise UserError("sample_rate is for recordings that are arrays: files say their own")
    for module in ("soundfile", "soxr"):
        needs(module, "audio")
    return RecordingItems(samples, rate)


def text_items(samples: Any, views: TextEncoding) -> Source:
    """Texts as token ids.

    Args:
        views: what makes ids of texts.
    """
    wrong = next(((i, item) for i, item in enumerate(samples) if not isinstance(item, str)), None)
    if wrong is not None:
        raise UserError(f"sample {wrong[0]} must be a text, got {type(wrong[1]).__name__}")
    return TextItems(samples, views)
