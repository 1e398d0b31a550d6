"""Copies among samples: equal ones of every modality, and images that are nearly equal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int, UInt8, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from likewise.data.batches import Ragged
from likewise.data.source import Source

AT_ONCE = 64  # samples: recordings of half a minute are a megabyte each
COMPARED = 16
"""Pixels a side of the images that are compared, with all channels."""
MOST_LEVELS = 5.0
"""The largest root mean square difference of near copies, of 255 levels."""
LEAST_CORRELATION = 0.95
"""The smallest correlation of near copies: dark and pale images differ by few levels, too."""
FREQUENCIES = 5  # the lowest in each direction: those of a triangle are 15 coefficients
GRIDS, CELL = 8, 16.0  # in levels: most near copies, which differ by 1 or 2, share a cell of most grids
WINDOW = 64  # neighbours that an image is compared with, of those in its cell
KEPT = 1000  # copies that a result names
NAMED = 3  # copies that a line names


class Copy(NamedTuple):
    """A test sample that is also a training sample."""

    test: str
    train: str
    exact: bool
    labels: tuple[str, str] | None
    """Of the test sample and of the training sample, where they differ."""

    def __str__(self) -> str:
        labels = "" if self.labels is None else f" ({self.labels[0]} and {self.labels[1]})"
        return f"{self.test} and {self.train}{labels}"


class CopyGroups(NamedTuple):
    """Which samples of a source are copies of one another."""

    groups: Int[Tensor, " n"]
    """A number for each sample, the same for copies."""
    note: str | None
    """What to say about them; None where there are none."""


class SampleContents(NamedTuple):
    """By what samples are compared."""

    digests: UInt64[np.ndarray, " n"]
    """Equal for equal samples."""
    blank: Bool[np.ndarray, " n"]
    """Which samples have one value throughout: they are copies of none."""
    hashes: Float32[np.ndarray, "n k"] | None
    """Perceptual hashes of images; None of other samples."""


def copies_between(train: Source, test: Source) -> list[Copy]:
    """The samples of `test` that are equal, or nearly equal, to samples of `train`, each with the first of these.

    Near copies are images that show the same picture, compressed or resized anew: as 16 x 16 pixels, they differ by at
    most `MOST_LEVELS` and correlate by at least `LEAST_CORRELATION`. Blank samples are copies of none. Of samples with
    several parts those that are no texts are compared, where there are such parts: an image has several captions.
    """
    known_source = next((one for one in (train, *train.parts) if one.modality == test.modality), None)
    if known_source is None:
        return []
    parts, its_parts = compared_parts(known_source), compared_parts(test)
    known, asked = sample_contents(parts), sample_contents(its_parts)
    if known is None or asked is None or len(parts) != len(its_parts):
        return []
    usable = np.flatnonzero(~known.blank)
    digests, first = np.unique(known.digests[usable], return_index=True)
    place = np.searchsorted(digests, asked.digests).clip(max=max(len(digests) - 1, 0))
    equal = ~asked.blank & np.isin(asked.digests, digests)
    found = {j: (int(usable[first[place[j]]]), True) for j in np.flatnonzero(equal).tolist()}
    pairs = near_pairs([parts[0], its_parts[0]], [known, asked]) - [0, len(train)]
    for i, j in pairs[(pairs[:, 0] < len(train)) & (pairs[:, 1] >= 0)].tolist():
        found.setdefault(j, (i, False))
    name, its_name = label_names(train), label_names(test)
    copies = []
    for j, (i, exact) in sorted(found.items()):
        labels = its_name(j), name(i)
        known_labels = None if None in labels or labels[0] == labels[1] else (str(labels[0]), str(labels[1]))
        copies.append(Copy(test.ids[j], train.ids[i], exact, known_labels))
    return copies


def copies_summary(copies: Sequence[Copy]) -> dict[str, Any]:
    """What a result keeps of `copies_between`: how many there are, and the first thousand."""
    exact = sum(copy.exact for copy in copies)
    other_labels = sum(copy.labels is not None for copy in copies)
    found = [copy._asdict() for copy in copies[:KEPT]]
    return {"exact": exact, "near": len(copies) - exact, "other_labels": other_labels, "found": found}


def copies_note(copies: Sequence[Copy], train: Source, test: Source) -> list[str]:
    """What to say about copies, in a sentence or two; nothing where there are none."""
    if not copies:
        return []
    exact = sum(copy.exact for copy in copies)
    wrong = [copy for copy in copies if copy.labels is not None]
    named = [*wrong, *(copy for copy in copies if copy.labels is None)][:NAMED]
    more = f" and {len(copies) - len(named):,} more" if len(copies) > len(named) else ""
    are = "is a copy" if len(copies) == 1 else "are copies"
    return [
        f"{len(copies):,} of {len(test):,} samples of {test.name} {are} of "
        f"samples of {train.name}: {exact:,} equal, {len(copies) - exact:,} nearly equal"
        + (f", {len(wrong):,} with another label" if wrong else "")
        + f" ({', '.join(map(str, named))}{more}). They say nothing about new samples."
    ]


def copy_groups(source: Source) -> CopyGroups:
    """Which samples are copies of one another, as `copies_between` has it, directly or through others."""
    parts = compared_parts(source)
    found = sample_contents(parts)
    if found is None:
        return CopyGroups(torch.arange(len(source)), None)
    usable = np.flatnonzero(~found.blank)
    order = usable[np.argsort(found.digests[usable], kind="stable")]
    same = found.digests[order][1:] == found.digests[order][:-1]
    pairs = np.concatenate([np.stack([order[:-1][same], order[1:][same]], axis=1), near_pairs(parts[:1], [found])])
    shape = (len(source), len(source))
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=shape)
    groups = connected_components(links, directed=False)[1].astype(np.int64)
    return CopyGroups(torch.from_numpy(groups), groups_note(source, groups) if len(pairs) else None)


def groups_note(source: Source, groups: Int[np.ndarray, " n"]) -> str:
    """What to say about copies that stay on one side of a split, and which of them have different labels."""
    sizes = np.bincount(groups)
    note = (
        f"{int(sizes[sizes > 1].sum()):,} samples are equal or nearly equal to others, in {int((sizes > 1).sum()):,} "
        "groups: each group is on one side of the split"
    )
    if not source.classes:
        return note
    labels = source.labels().numpy()
    rows = np.flatnonzero(labels >= 0)
    rows = rows[np.lexsort((labels[rows], groups[rows]))]
    differ = np.flatnonzero((groups[rows][1:] == groups[rows][:-1]) & (labels[rows][1:] != labels[rows][:-1]))
    if not len(differ):
        return note
    named = " and ".join(f"{source.ids[i]} ({source.classes[labels[i]]})" for i in rows[differ[0] :][:2].tolist())
    return f"{note}; {len(np.unique(groups[rows][differ])):,} of them have several labels, such as {named}"


def label_names(source: Source) -> Callable[[int], str | None]:
    """index -> the name of a sample's class, None where it has none."""
    classes = source.classes
    labels = source.labels().tolist() if classes else []
    return lambda index: classes[labels[index]] if classes and labels[index] >= 0 else None


def compared_parts(source: Source) -> list[Source]:
    """By which parts samples are compared."""
    return [part for part in source.parts if part.modality != "text"] or source.parts or [source]


def sample_contents(parts: Sequence[Source]) -> SampleContents | None:
    """By what samples with these parts are compared; None for samples that are neither tensors nor texts."""
    are_images = len(parts) == 1 and parts[0].modality == "image"
    digests: list[bytes] = []
    blank: list[Bool[np.ndarray, " some"]] = []
    hashes: list[Float32[np.ndarray, "some k"]] = []
    for some in torch.arange(len(parts[0])).split(AT_ONCE):
        batches = [part.contents(some) for part in parts]
        found = batch_digests(batches)
        if found is None:
            return None
        digests += found
        blank.append(np.logical_and.reduce([are_blank(batch) for batch in batches]))
        if are_images:
            hashes.append(perceptual_hashes(batches[0]))
    return SampleContents(
        np.frombuffer(b"".join(digests), dtype=np.uint64),
        np.concatenate([np.zeros(0, dtype=bool), *blank]),
        np.concatenate(hashes) if are_images else None,
    )


def batch_digests(batches: Sequence[Any]) -> list[bytes] | None:
    """8 bytes for each sample, of which each batch holds a part; None for what is neither tensors nor texts."""
    rows = [sample_bytes(batch) for batch in batches]
    if any(row is None for row in rows):
        return None
    return [digest(sample) for sample in zip(*(row for row in rows if row is not None), strict=True)]


def sample_bytes(batch: Any) -> list[bytes] | None:
    """The bytes of each sample of a batch, without padding; None for what is neither tensors nor texts."""
    if isinstance(batch, Ragged):
        return [
            row[:length].numpy().tobytes() for row, length in zip(batch.values, batch.lengths.tolist(), strict=True)
        ]
    if isinstance(batch, Tensor):
        return [row.tobytes() for row in batch.contiguous().numpy()]
    if isinstance(batch, list) and all(isinstance(text, str) for text in batch):
        return [text.encode() for text in batch]
    return None


def are_blank(batch: Any) -> Bool[np.ndarray, " n"]:
    """Which samples of a batch have one value throughout; of images, one in each channel."""
    if isinstance(batch, list):
        return np.zeros(len(batch), dtype=bool)
    if isinstance(batch, Ragged):
        outside = torch.arange(batch.values.shape[1]) >= batch.lengths[:, None]
        return ((batch.values == batch.values[:, :1]) | outside).all(1).numpy()
    rows = batch.flatten(2) if batch.ndim > 3 else batch.flatten(1)[:, None]
    return (rows.amin(2) == rows.amax(2)).all(1).numpy()


def digest(parts: Sequence[bytes]) -> bytes:
    """8 bytes for the parts of a sample: two of a million samples have the same by chance once in 30 million times."""
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.digest()


# --- Near copies


def perceptual_hashes(images: UInt8[Tensor, "n c h w"]) -> Float32[np.ndarray, "n k"]:
    """What compression and resizing hardly change of images: the coefficients of their lowest frequencies, in levels.

    These are of the cosine transform of the grey image, scaled so that those of near copies differ by no more than the
    root mean square difference of the images.
    """
    small = F.interpolate(images.float(), size=(COMPARED, COMPARED), mode="bilinear", antialias=True).mean(1)
    frequency, place = torch.arange(FREQUENCIES)[:, None], torch.arange(COMPARED)
    cosines = torch.cos(torch.pi * frequency * (place + 0.5) / COMPARED) / COMPARED
    cosines[1:] *= 2**0.5
    rows, columns = torch.tril_indices(FREQUENCIES, FREQUENCIES)
    return (cosines @ small @ cosines.T)[:, rows - columns, columns].numpy()


def similar_hashes(hashes: Float32[np.ndarray, "n k"]) -> Int[np.ndarray, "m 2"]:
    """Pairs of places, the smaller first, of hashes that differ by at most `MOST_LEVELS` in each coefficient.

    Near ones are mostly in the same cell of a grid, and with several shifted grids in the same cell of one of them. So
    the hashes are sorted by their cells, and those in a cell are compared: of many, each with its `WINDOW` next
    neighbours by brightness, so that data which is all alike takes no n² steps.
    """
    count = len(hashes)
    random = np.random.default_rng(0)
    found = np.zeros(0, dtype=np.int64)
    for _ in range(GRIDS):
        cells = np.floor(hashes / CELL + random.uniform(size=hashes.shape[1])).astype(np.int64)
        cell = (cells * random.integers(1, 2**62, hashes.shape[1]) | 1).sum(1)  # overflows: a hash of the cells
        order = np.lexsort((hashes[:, 0], cell))
        sorted_cells, pairs = cell[order], [found]
        for step in range(1, min(WINDOW + 1, count)):
            same = np.flatnonzero(sorted_cells[step:] == sorted_cells[:-step])
            if not len(same):
                break
            one, other = order[same], order[same + step]
            near = (abs(hashes[one] - hashes[other]) <= MOST_LEVELS).all(1)
            pairs.append((np.minimum(one, other) * count + np.maximum(one, other))[near])
        found = np.unique(np.concatenate(pairs))
    return np.stack(np.divmod(found, max(count, 1)), axis=1)


def near_pairs(images: Sequence[Source], known: Sequence[SampleContents]) -> Int[np.ndarray, "k 2"]:
    """Pairs of places in some sources, one after the other, of images that are near copies; none of other samples."""
    hashes = [each.hashes for each in known if each.hashes is not None]
    if len(hashes) < len(known):
        return np.zeros((0, 2), dtype=np.int64)
    digests, blank = (np.concatenate(column) for column in zip(*((c.digests, c.blank) for c in known), strict=True))
    usable = np.flatnonzero(~blank)
    pairs = usable[similar_hashes(np.concatenate(hashes)[usable])]
    pairs = pairs[digests[pairs[:, 0]] != digests[pairs[:, 1]]]
    places = np.unique(pairs)
    small = small_images(images, places)
    parts = np.array_split(np.searchsorted(places, pairs), 1 + len(pairs) // 10_000)
    return pairs[np.concatenate([are_near(small[one], small[other]) for one, other in (part.T for part in parts)])]


def are_near(one: Float32[np.ndarray, "k pixels"], other: Float32[np.ndarray, "k pixels"]) -> Bool[np.ndarray, " k"]:
    """Which images of two rows are near copies, by their root mean square difference and their correlation."""
    differ = np.sqrt(np.square(one - other).mean(1))
    a, b = (each - each.mean(1, keepdims=True) for each in (one, other))
    correlation = (a * b).sum(1) / np.sqrt(np.square(a).sum(1) * np.square(b).sum(1)).clip(1e-9)
    return (differ <= MOST_LEVELS) & (correlation >= LEAST_CORRELATION)


def small_images(images: Sequence[Source], places: Int[np.ndarray, " k"]) -> Float32[np.ndarray, "k pixels"]:
    """Images of `COMPARED` pixels a side with all their channels, of places in some sources, one after the other."""
    ends = np.cumsum([len(source) for source in images])
    found = []
    for source, end in zip(images, ends, strict=True):
        rows = torch.from_numpy(places[(places >= end - len(source)) & (places < end)] - end + len(source))
        for some in rows.split(AT_ONCE):
            batch = source.contents(some).float()
            small = F.interpolate(batch, size=(COMPARED, COMPARED), mode="bilinear", antialias=True)
            found.append(small.flatten(1).numpy())
    return np.concatenate(found)
