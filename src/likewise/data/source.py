"""What a source of samples is, and the sources made of other sources."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float, Int, Integer, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from likewise.data.pictures import check_channels, fit
from likewise.data.read_options import ReadOptions
from likewise.data.value_range import Range
from likewise.errors import UserError


class Source(ABC):
    """Samples that are read many at once, by index. Data of your own is a subclass.

    A subclass sets `modality` and `name`, and has `__len__` and `read`. Everything else has a default. To say more, it
    sets the attribute, or overrides it with a `cached_property` that is worked out when it is first asked for.
    """

    modality: str
    """A registered one (`"image"`, `"text"`, `"audio"`, `"pair"`), or a word of your own."""
    name: str
    """What people call it: `"digits:train"`, `"photos"`."""
    has_own_targets: bool = False
    """Whether samples can be tested on without labels, as pairs can: each part is the target of the other."""
    reads_slowly: bool = False
    """Whether samples are decoded each time that they are read, so that a training has processes that read ahead."""
    decoded_bytes: int | None = None
    """How much the samples take that are decoded from files; None of others."""
    slow_labels: bool = False
    """Whether samples have to be read for their labels, so that these are not counted unless they are needed."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: Int[Tensor, " n"]) -> Any:
        """The samples at `indices` (any order, repeats allowed): a batch, contiguous and free to be written to.

        Images are uint8 `(n, c, h, w)`. A batch has a length, can be indexed, and moved by `to(device)`.
        """

    def contents(self, indices: Int[Tensor, " n"]) -> Any:
        """What says whether samples are equal: the batch, or a list of texts."""
        return self.read(indices)

    @cached_property
    def ids(self) -> Sequence[str]:
        """One a sample: its path relative to the folder, or its index as text."""
        return Indices(len(self))

    @cached_property
    def classes(self) -> list[str]:
        """The name of each label, `[]` where no sample has one."""
        return []

    def labels(self) -> Int[Tensor, " len"]:
        """int64, in [0, len(classes)), and -1 for a sample that has no label.

        Nothing calls it unless labels are asked for.

        Raises:
            UserError: where there are none.
        """
        raise UserError(f"{self.name} has no labels")

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        """(file, reason) of everything that could not be read and is therefore not a sample."""
        return []

    @cached_property
    def notes(self) -> list[str]:
        """What people should know about the samples, told when a training begins."""
        return []

    @cached_property
    def lengths(self) -> Int[Tensor, " len"] | None:
        """How long each sample is. With them the loader makes batches of about equally long samples."""
        return None

    @cached_property
    def groups(self) -> Int[Tensor, " len"] | None:
        """A number for each sample, the same for pieces of one thing, which go to one side of a split together."""
        return None

    @cached_property
    def blocks(self) -> Int[Tensor, " len"] | None:
        """A number for each sample, the same for those that are read together, which then come near each other."""
        return None

    @cached_property
    def parts(self) -> list[Source]:
        """Of samples that have parts, such as pairs, a source for each part; of others `[]`."""
        return []

    @cached_property
    def scores(self) -> Float[Tensor, " len"] | None:
        """How similar people found the parts of each sample; None if there are no scores."""
        return None

    def fitted(self, read_options: ReadOptions) -> Source:
        """The same samples, read as `read_options` says; itself where they are read so already."""
        return self


class ImageSource(Source):
    """Images, uint8 `(n, c, h, w)`, all of one shape; `fitted` resizes them and changes their channels."""

    modality = "image"
    range: Range | None = None
    """What grey levels 0 and 255 stand for in the numbers that the images were made of; None where these were bytes."""

    def fitted(self, read_options: ReadOptions) -> Source:
        size, channels = read_options.size, read_options.channels
        if size is None and channels is None:
            return self
        _, c, h, w = self.read(torch.tensor([0])).shape
        if size in (None, h) and size in (None, w) and channels in (None, c):
            return self
        check_channels(c, channels)
        return self.resized(size, channels)

    def resized(self, size: int | None, channels: int | None) -> Source:
        """The same images at another size or with other channels (None: as they are)."""
        return ResizedImages(self, size, channels)


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


class Subset(Source):
    """The samples of `source` at `indices`, in that order; ids, labels and classes stay theirs."""

    def __init__(self, source: Source, indices: Int[Tensor, " n"], *, name: str | None = None) -> None:
        self.source = source
        self.indices = indices
        self.modality = source.modality
        self.name = name or source.name
        self.has_own_targets = source.has_own_targets
        self.reads_slowly = source.reads_slowly
        self.decoded_bytes = source.decoded_bytes

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Int[Tensor, " n"]) -> Any:
        return self.source.read(self.indices[indices])

    def contents(self, indices: Int[Tensor, " n"]) -> Any:
        return self.source.contents(self.indices[indices])

    @cached_property
    def ids(self) -> Sequence[str]:
        return ChosenIds(self.source.ids, self.indices)

    @cached_property
    def classes(self) -> list[str]:
        return self.source.classes

    def labels(self) -> Int[Tensor, " len"]:
        return self.source.labels()[self.indices]

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        return self.source.skipped

    @cached_property
    def notes(self) -> list[str]:
        return self.source.notes

    @cached_property
    def lengths(self) -> Int[Tensor, " len"] | None:
        return None if self.source.lengths is None else self.source.lengths[self.indices]

    @cached_property
    def groups(self) -> Int[Tensor, " len"] | None:
        return None if self.source.groups is None else self.source.groups[self.indices]

    @cached_property
    def blocks(self) -> Int[Tensor, " len"] | None:
        return None if self.source.blocks is None else self.source.blocks[self.indices]

    @cached_property
    def parts(self) -> list[Source]:
        return [Subset(part, self.indices, name=self.name) for part in self.source.parts]

    @cached_property
    def scores(self) -> Float[Tensor, " len"] | None:
        return None if self.source.scores is None else self.source.scores[self.indices]

    def fitted(self, read_options: ReadOptions) -> Source:
        return Subset(self.source.fitted(read_options), self.indices, name=self.name)


class Clustered(Subset):
    """The samples of `source`, with the number of a cluster as the label of each."""

    def __init__(self, source: Source, clusters: Int[Tensor, " len"]) -> None:
        super().__init__(source, torch.arange(len(source)))
        self.clusters = clusters
        self.name = f"the clusters of {source.name}"

    @cached_property
    def classes(self) -> list[str]:
        return list(map(str, range(int(self.clusters.max()) + 1)))

    def labels(self) -> Int[Tensor, " len"]:
        return self.clusters


class Joined(Source):
    """Sources of equal sample shape, one after the other. Those without labels have -1, if another one has some."""

    def __init__(self, sources: Sequence[Source], *, name: str) -> None:
        self.sources = list(sources)
        self.name = name
        self.modality = self.sources[0].modality
        self.reads_slowly = any(source.reads_slowly for source in self.sources)
        self.decoded_bytes = total_bytes(self.sources)
        self.ends = torch.tensor([len(source) for source in self.sources]).cumsum(0)

    def __len__(self) -> int:
        return int(self.ends[-1])

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

    @cached_property
    def classes(self) -> list[str]:
        return list(dict.fromkeys(name for source in self.sources for name in source.classes))

    def labels(self) -> Int[Tensor, " len"]:
        if not self.classes:
            return torch.cat([source.labels() for source in self.sources])
        place = {name: i for i, name in enumerate(self.classes)}
        found = []
        for source in self.sources:
            numbers = source.labels() if source.classes else torch.full((len(source),), -1)
            found.append(torch.tensor([*(place[name] for name in source.classes), -1])[numbers])
        return torch.cat(found)

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        return [entry for source in self.sources for entry in source.skipped]

    @cached_property
    def parts(self) -> list[Source]:
        each = zip(*(source.parts for source in self.sources), strict=True)
        return [Joined(parts, name=self.name) for parts in each]

    @cached_property
    def scores(self) -> Float[Tensor, " len"] | None:
        known = [source.scores for source in self.sources if source.scores is not None]
        return torch.cat(known) if len(known) == len(self.sources) else None

    def fitted(self, read_options: ReadOptions) -> Joined:
        return Joined([source.fitted(read_options) for source in self.sources], name=self.name)


class ResizedImages(ImageSource):
    """The images of `source` at another size or with other channels; see `pictures.fit`."""

    def __init__(self, source: Source, size: int | None, channels: int | None) -> None:
        self.source = source
        self.size = size
        self.channels = channels
        self.name = source.name
        self.reads_slowly = source.reads_slowly
        self.decoded_bytes = source.decoded_bytes

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
        return fit(self.source.read(indices), self.size, self.channels)

    @cached_property
    def ids(self) -> Sequence[str]:
        return self.source.ids

    @cached_property
    def classes(self) -> list[str]:
        return self.source.classes

    def labels(self) -> Int[Tensor, " len"]:
        return self.source.labels()

    @cached_property
    def skipped(self) -> list[tuple[str, str]]:
        return self.source.skipped

    @cached_property
    def notes(self) -> list[str]:
        return self.source.notes

    @cached_property
    def groups(self) -> Int[Tensor, " len"] | None:
        return self.source.groups


def total_bytes(sources: Iterable[Source]) -> int | None:
    """How much the decoded samples of some sources take; None where none of them is decoded from files."""
    known = [source.decoded_bytes for source in sources if source.decoded_bytes is not None]
    return sum(known) if known else None


def labelled_part(source: Source) -> Source:
    """The samples of a source that have a label; the source itself where all have one."""
    labels = source.labels()
    return source if bool((labels >= 0).all()) else Subset(source, (labels >= 0).nonzero()[:, 0])


def label_note(labels: Integer[Tensor, " len"] | str, things: str) -> list[str]:
    """How many samples have labels, where some have none (-1); nothing where there are no labels at all, with why."""
    if isinstance(labels, str) or not (count := int((labels < 0).sum())) or count == len(labels):
        return []
    return [f"labels: {len(labels) - count:,} of {len(labels):,} {things}"]


def connected_groups(*parts: Sequence[Hashable]) -> Int[Tensor, " n"]:
    """A number for each sample, the same for samples of which a part is equal, if only through others.

    These are the connected components of the graph of samples and parts: of two equal images with captions of their
    own, either caption is right for either image. Parts are compared as they are: give texts, and digests of what is
    no text.
    """
    numbers: dict[tuple[int, Hashable], int] = {}
    columns = [
        np.array([numbers.setdefault((side, part), len(numbers)) for part in column])
        for side, column in enumerate(parts)
    ]
    shape = (len(numbers), len(numbers))
    links = sum(coo_array((np.ones(len(one)), (columns[0], one)), shape=shape) for one in columns)
    return torch.from_numpy(connected_components(links, directed=False)[1][columns[0]].astype(np.int64))


def natural_sort(names: Iterable[str]) -> list[str]:
    """Sorted as people count: "class2" before "class10"."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]+)", name)
        return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]

    return sorted(names, key=lambda name: (key(name), name))
