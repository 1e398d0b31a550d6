"""What a source of samples is, and the sources made of other sources."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, overload, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from likewise.data.pictures import fit
from likewise.data.read_options import ReadOptions
from likewise.errors import UserError

HELD_OUT_FRACTION = 0.2


@runtime_checkable
class Source(Protocol):
    """Samples that are read many at once, by index.

    `labels` and `classes` say what the samples are called; nothing reads them unless labels are asked for.
    """

    modality: str
    """`"image"`, `"text"`, `"audio"`, `"pair"`, or a word of your own."""
    name: str
    """What people call it: `"digits:train"`, `"photos"`."""

    @property
    def ids(self) -> Sequence[str]:
        """One a sample: its path relative to the folder, or its index as text."""

    @property
    def classes(self) -> list[str]:
        """The name of each label, `[]` where there are no labels."""

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(file, reason) of everything that could not be read and is therefore not a sample."""

    def __len__(self) -> int: ...

    def read(self, indices: Int[Tensor, " n"]) -> Any:
        """The samples at `indices` (any order, repeats allowed): a batch, contiguous and free to be written to.

        Images are uint8 `(n, c, h, w)`. A batch has a length, can be indexed, and moved by `to(device)`.
        """

    def labels(self) -> Int[Tensor, " len"]:
        """int64, in [0, len(classes)). Raises `UserError` where there are none."""


def is_source(data: Any) -> bool:
    """As `isinstance(data, Source)`, but never asks for `classes`, which may cost a pass over the data."""
    return all(callable(getattr(type(data), name, None)) for name in ("read", "labels", "__len__"))


class Request(NamedTuple):
    """What `open_source` was asked for, handed to each kind of source in turn."""

    data: Any
    """What was given, without its split; a string that is no known name becomes a `Path`."""
    split: str | None = None
    """What followed the colon of `data:split`."""
    root: Any = None
    read_options: ReadOptions = ReadOptions()
    progress: bool = True


class Lazy(Sequence[str]):
    """Texts that are made when they are looked at: a subclass has a length, and gives one of them."""

    def one(self, index: int) -> str:
        """The text at `index`, from 0 to below the length."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        # A range knows that negative ones count from the end, and that what is outside is an IndexError.
        chosen = range(len(self))[index]
        return self.one(chosen) if isinstance(chosen, int) else [self.one(i) for i in chosen]


class Indices(Lazy):
    """The ids of samples that have no name of their own: "0", "1", …"""

    def __init__(self, count: int) -> None:
        self.length = count

    def __len__(self) -> int:
        return self.length

    def one(self, index: int) -> str:
        return str(index)


class ChosenIds(Lazy):
    """Those of `ids`, or of any texts, that are at `indices`."""

    def __init__(self, ids: Sequence[str], indices: Int[Tensor, " n"]) -> None:
        self.ids = ids
        self.indices = indices.numpy()

    def __len__(self) -> int:
        return len(self.indices)

    def one(self, index: int) -> str:
        return self.ids[int(self.indices[index])]


class Subset:
    """The samples of `source` at `indices`, in that order; ids, labels and classes stay theirs."""

    def __init__(self, source: Source, indices: Int[Tensor, " n"], *, name: str | None = None) -> None:
        self.source = source
        self.indices = indices
        self.modality = source.modality
        self.name = name or source.name
        self.skipped = source.skipped
        self.notes: list[str] = getattr(source, "notes", [])

    @property
    def ids(self) -> Sequence[str]:
        return ChosenIds(self.source.ids, self.indices)

    @property
    def classes(self) -> list[str]:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.indices)

    def fitted(self, read_options: ReadOptions) -> Subset:
        return Subset(fitted(self.source, read_options), self.indices, name=self.name)

    @property
    def lengths(self) -> Int[Tensor, " len"] | None:
        lengths = getattr(self.source, "lengths", None)
        return None if lengths is None else lengths[self.indices]

    def read(self, indices: Int[Tensor, " n"]) -> Any:
        return self.source.read(self.indices[indices])

    def labels(self) -> Int[Tensor, " len"]:
        return self.source.labels()[self.indices]


class Joined:
    """Sources of equal sample shape, one after the other. Labelled if every one of them is."""

    def __init__(self, sources: Sequence[Source], *, name: str) -> None:
        self.sources = list(sources)
        self.name = name
        self.modality = self.sources[0].modality
        self.ids = Indices(sum(len(source) for source in self.sources))
        self.classes = self.sources[0].classes if all(source.classes for source in self.sources) else []
        self.skipped = [entry for source in self.sources for entry in source.skipped]
        self.ends = torch.tensor([len(source) for source in self.sources]).cumsum(0)

    def __len__(self) -> int:
        return len(self.ids)

    def fitted(self, read_options: ReadOptions) -> Joined:
        return Joined([fitted(source, read_options) for source in self.sources], name=self.name)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        part = torch.bucketize(indices, self.ends, right=True)
        present = part.unique().tolist() or [0]
        reads = []
        for p in present:
            start = self.ends[p] - len(self.sources[p])
            reads.append(self.sources[p].read(indices[part == p] - start))
        # `reads` lists the samples by part; put each back where it was asked for.
        order = torch.cat([(part == p).nonzero()[:, 0] for p in present])
        joined = torch.cat(reads)
        return joined if len(present) == 1 else torch.empty_like(joined).index_copy_(0, order, joined)

    def labels(self) -> Int[Tensor, " len"]:
        return torch.cat([source.labels() for source in self.sources])


class Fitted:
    """The samples of `source` at another size or with other channels; see `pictures.fit`."""

    def __init__(self, source: Source, size: int | None, channels: int | None) -> None:
        self.source = source
        self.size = size
        self.channels = channels
        self.modality = source.modality
        self.name = source.name
        self.skipped = source.skipped

    @property
    def ids(self) -> Sequence[str]:
        return self.source.ids

    @property
    def classes(self) -> list[str]:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return fit(self.source.read(indices), self.size, self.channels)

    def labels(self) -> Int[Tensor, " len"]:
        return self.source.labels()


def fitted(source: Source, read_options: ReadOptions) -> Source:
    """The samples of `source` as `read_options` has them; itself where they are so already.

    A source knows itself how, by its method `fitted(read_options)`; images without it are resized, by their method
    `resized(size, channels)` from their originals where they have one.
    """
    own = getattr(source, "fitted", None)
    if own is not None:
        return own(read_options)
    size, channels = read_options.size, read_options.channels
    if source.modality != "image" or (size is None and channels is None):
        return source
    _, c, h, w = source.read(torch.tensor([0])).shape
    if size in (None, h) and size in (None, w) and channels in (None, c):
        return source
    resized = getattr(source, "resized", None)
    return resized(size, channels) if resized else Fitted(source, size, channels)


def tests_itself(source: Any) -> bool:
    """Whether samples can be tested on without labels, as pairs can: each half is the answer to the other."""
    while isinstance(source, Subset):
        source = source.source
    return getattr(source, "tests_itself", False)


def linked(*parts: Sequence[Hashable]) -> Int[Tensor, " n"]:
    """A number for each sample, the same for samples of which a part is equal, if only through others.

    Of two equal pictures with captions of their own, either caption is right for either picture. Parts are compared as
    they are: give texts, and digests of what is no text.
    """
    numbers: dict[tuple[int, Hashable], int] = {}
    columns = [
        np.array([numbers.setdefault((side, part), len(numbers)) for part in column])
        for side, column in enumerate(parts)
    ]
    shape = (len(numbers), len(numbers))
    links = sum(coo_array((np.ones(len(one)), (columns[0], one)), shape=shape) for one in columns)
    return torch.from_numpy(connected_components(links, directed=False)[1][columns[0]].astype(np.int64))


def hold_out(source: Source) -> tuple[Subset, Subset]:
    """Split a source into (train, test): a fifth of each class, rounded, is the test part; of all, without classes.

    A class of two samples or more gives at least one to each part; a class of one stays in training. Which
    samples are the test follows from a hash of their ids: a sample more or less moves at most one other. Samples that
    are pieces of one thing (`groups`: a number for each sample) go to one part together.
    Both parts keep the order of the source. Raises `UserError` where there are no labels and samples cannot be tested
    without, or where no class has two samples.
    """
    labelled = source.classes or not tests_itself(source)
    labels = source.labels().numpy() if labelled else np.zeros(len(source), np.int64)
    counts = np.bincount(labels)
    wanted = np.rint(HELD_OUT_FRACTION * counts).clip(1, (counts - 1).clip(1)) * (counts > 1)
    if not wanted.any():
        raise UserError(f"{source.name}: nothing can be held out for a test, no class has two samples")
    lots = np.array(
        [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") for name in source.ids], np.uint64
    )
    order = np.lexsort((lots, labels))
    grouped = labels[order]
    rank = np.arange(len(labels)) - (counts.cumsum() - counts)[grouped]
    test = np.zeros(len(labels), dtype=bool)
    test[order] = rank < wanted[grouped]
    groups = getattr(source, "groups", None)
    if groups is not None:
        _, first, inverse = np.unique(groups.numpy(), return_index=True, return_inverse=True)
        test = test[first][inverse]
    return (
        Subset(source, torch.from_numpy(np.flatnonzero(~test)), name=f"{source.name}:train"),
        Subset(source, torch.from_numpy(np.flatnonzero(test)), name=f"{source.name}:test"),
    )


def natural_sort(names: Iterable[str]) -> list[str]:
    """Sorted as people count: "class2" before "class10"."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]

    return sorted(names, key=lambda name: (key(name), name))
