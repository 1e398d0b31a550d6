"""What a source of samples is, and the sources made of other sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, overload, runtime_checkable

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from likewise.data.pictures import fit
from likewise.errors import UserError


@runtime_checkable
class Source(Protocol):
    """Samples that are read many at once, by index.

    `labels` and `classes` say what the samples are called; nothing reads them unless labels are asked for.
    """

    modality: str
    """`"image"`."""
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

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        """The samples at `indices` (any order, repeats allowed), contiguous and free to be written to."""

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
    size: int | None = None
    channels: int | None = None
    progress: bool = True


class Indices(Sequence[str]):
    """The ids of samples that have no name of their own: "0", "1", … made when looked at."""

    def __init__(self, count: int) -> None:
        self.range = range(count)

    def __len__(self) -> int:
        return len(self.range)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [str(i) for i in self.range[index]]
        return str(self.range[index])


class Subset:
    """The samples of `source` at `indices`, in that order; ids, labels and classes stay theirs."""

    def __init__(self, source: Source, indices: Int[Tensor, " n"], *, name: str | None = None) -> None:
        self.source = source
        self.indices = indices
        self.modality = source.modality
        self.name = name or source.name
        self.skipped = source.skipped

    @property
    def ids(self) -> list[str]:
        ids = self.source.ids
        return [ids[i] for i in self.indices.tolist()]

    @property
    def classes(self) -> list[str]:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
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
        self.ids = source.ids
        self.skipped = source.skipped

    @property
    def classes(self) -> list[str]:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return fit(self.source.read(indices), self.size, self.channels)

    def labels(self) -> Int[Tensor, " len"]:
        return self.source.labels()


def fitted(source: Source, size: int | None, channels: int | None) -> Source:
    """`source` itself where its samples have that size and those channels already (None: any)."""
    _, c, h, w = source.read(torch.tensor([0])).shape
    fits = size in (None, h) and size in (None, w) and channels in (None, c)
    return source if fits else Fitted(source, size, channels)


def labels_in(source: Source, classes: Sequence[str]) -> Int[Tensor, " len"]:
    """The labels of `source`, numbered by the list `classes` of another source (int64).

    Two folders may not hold the same classes, so that number 3 of one is not number 3 of the other:
    compare by name. Raises `UserError` where `source` has a class that `classes` lacks.
    """
    labels = source.labels()
    number = {name: i for i, name in enumerate(classes)}
    unknown = [name for name in source.classes if name not in number]
    if unknown:
        raise UserError(
            f"{source.name} has classes that the training labels lack: {', '.join(unknown[:5])}"
            f"{', …' if len(unknown) > 5 else ''}"
        )
    return torch.tensor([number[name] for name in source.classes])[labels]


def hold_out(source: Source, fraction: float = 0.2, seed: int = 0) -> tuple[Subset, Subset]:
    """Split a labelled source into (train, test): `fraction` of each class, rounded, is the test part.

    A class of two samples or more gives at least one to each part; a class of one stays in training.
    The split depends on the labels, `fraction` and `seed` only; both parts keep the order of the source.
    Raises `UserError` where there are no labels, or where no class has two samples.
    """
    if not 0 < fraction < 1:
        raise UserError(f"fraction must lie between 0 and 1, got {fraction}")
    labels = source.labels()
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    test = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = shuffled[labels[shuffled] == label]
        if len(members) > 1:
            count = min(max(round(fraction * len(members)), 1), len(members) - 1)
            test[members[:count]] = True
    if not test.any():
        raise UserError(f"{source.name}: nothing can be held out for a test, no class has two samples")
    return (
        Subset(source, (~test).nonzero()[:, 0], name=f"{source.name}:train"),
        Subset(source, test.nonzero()[:, 0], name=f"{source.name}:test"),
    )


def natural_sort(names: Iterable[str]) -> list[str]:
    """Sorted as people count: "class2" before "class10"."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]

    return sorted(names, key=lambda name: (key(name), name))
