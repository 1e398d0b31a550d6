"""Copies: equal samples, and nearly equal ones, which embeddings propose and the samples confirm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from likewise.cleaning.faults import Fault
from likewise.cleaning.likeness import LIKELY, SURE, likeness, normal_form
from likewise.cleaning.neighbours import Neighbours
from likewise.data.copies import SampleContents, compared_parts, label_names, near_pairs, sample_contents
from likewise.data.source import Source
from likewise.data.text import corpus

PROPOSED = 5
"""Nearest neighbours of a sample that may be its near copies."""
MUCH_NEARER = 1 / 3
"""Of the distance to the tenth neighbour: samples that are nearer to each other are much nearer than others are."""


class Link(NamedTuple):
    """Two samples that are copies; `first` comes before `second`."""

    first: int
    second: int
    likeness: float
    equal: bool


def duplicates(
    sources: Sequence[Source],
    sides: Int[np.ndarray, " n"],
    trivial: Bool[np.ndarray, " n"],
    near: Neighbours | None,
) -> list[Fault]:
    """The samples that are copies of earlier ones (duplicates), or of samples of a later part (leaks).

    Of the copies in one part the first is none; every other is named with one that is none. Of samples with several
    parts, those are duplicates that have all parts in common: a picture can have several captions.

    Args:
        sources: the samples; perhaps others behind them, of which no faults are listed.
        sides: the number of the part that each sample is of: training first, test last.
        trivial: which samples are not compared.
        near: the neighbours of all samples by their embeddings; None to look for equal ones only.
    """
    found = []
    for parts_of in [compared_parts, _all_parts] if sources[0].parts else [compared_parts]:
        parts = [parts_of(source) for source in sources]
        contents = [each for each in map(sample_contents, parts) if each is not None]
        if len(contents) < len(sources) or len({len(each) for each in parts}) > 1:
            continue
        usable = ~trivial & ~np.concatenate([each.blank for each in contents])
        links = list(_equal(contents, usable, sides))
        if len(parts[0]) == 1 and near is not None:
            links += _nearly_equal([each[0] for each in parts], contents, usable, near)
        within = parts_of is _all_parts or not sources[0].parts
        across = parts_of is compared_parts
        links = [link for link in links if (within if sides[link.first] == sides[link.second] else across)]
        found += _faults(sources, sides, links)
    return found


def _all_parts(source: Source) -> list[Source]:
    return source.parts


def _equal(
    contents: Sequence[SampleContents], usable: Bool[np.ndarray, " n"], sides: Int[np.ndarray, " n"]
) -> Iterator[Link]:
    """Each sample with the first equal one of each part."""
    digests = np.concatenate([each.digests for each in contents])
    rows = np.flatnonzero(usable)
    order = rows[np.argsort(digests[rows], kind="stable")]
    changes = np.flatnonzero(digests[order][1:] != digests[order][:-1]) + 1
    for group in np.split(order, changes):
        if len(group) < 2:
            continue
        firsts: dict[int, int] = {}
        for i in group.tolist():
            firsts.setdefault(int(sides[i]), i)
        for i in group.tolist():
            for first in firsts.values():
                if first != i:
                    yield Link(min(i, first), max(i, first), 1.0, True)


def _nearly_equal(
    sources: Sequence[Source], contents: Sequence[SampleContents], usable: Bool[np.ndarray, " n"], near: Neighbours
) -> list[Link]:
    """Samples that are not equal, but nearly."""
    modality = sources[0].modality
    if modality not in SURE:
        return []
    count = len(usable)
    digests = np.concatenate([each.digests for each in contents])
    same = near_pairs(sources, contents) if modality == "image" else _of_one_form(sources)
    distances, positions = near.distances.numpy(), near.positions.numpy()
    one = np.repeat(np.arange(count), min(PROPOSED, positions.shape[1]))
    other = positions[:, :PROPOSED].ravel()
    scale = distances[:, -1]
    nearer = distances[:, :PROPOSED].ravel() / np.minimum(scale[one], scale[other]).clip(1e-9)
    # Waveforms take long to compare.
    proposed = nearer < 1 if modality != "audio" else nearer < 2 * MUCH_NEARER
    pairs = np.concatenate([np.stack([one, other], axis=1), same])
    nearer = np.concatenate([np.where(proposed, nearer, np.inf), np.zeros(len(same))])
    certain = np.concatenate([np.zeros(len(one), dtype=bool), np.ones(len(same), dtype=bool)])
    wanted = usable[pairs].all(1) & (digests[pairs[:, 0]] != digests[pairs[:, 1]]) & np.isfinite(nearer)
    pairs, nearer, certain = np.sort(pairs[wanted], axis=1), nearer[wanted], certain[wanted]
    # Of a pair that is proposed several times, the surest proposal.
    order = np.lexsort((nearer, ~certain, pairs[:, 1], pairs[:, 0]))
    pairs, nearer, certain = pairs[order], nearer[order], certain[order]
    new = np.r_[True, (pairs[1:] != pairs[:-1]).any(1)] if len(pairs) else np.zeros(0, dtype=bool)
    pairs, nearer, certain = pairs[new], nearer[new], certain[new]
    alike = likeness(sources, pairs)
    copies = certain | (alike >= SURE[modality]) | ((alike >= LIKELY[modality]) & (nearer <= MUCH_NEARER))
    return [
        Link(first, second, value, False)
        for (first, second), value in zip(pairs[copies].tolist(), alike[copies].tolist(), strict=True)
    ]


def _of_one_form(sources: Sequence[Source]) -> Int[np.ndarray, "m 2"]:
    """Each text with the first that differs from it in case of letters, punctuation and white space only."""
    if sources[0].modality != "text":
        return np.zeros((0, 2), dtype=np.int64)
    first: dict[str, int] = {}
    pairs, start = [], 0
    for source in sources:
        for i, text in enumerate(corpus(source), start=start):
            if (known := first.setdefault(normal_form(text), i)) != i:
                pairs.append((known, i))
        start += len(source)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _faults(sources: Sequence[Source], sides: Int[np.ndarray, " n"], links: Sequence[Link]) -> list[Fault]:
    copies: defaultdict[int, list[tuple[bool, float, int]]] = defaultdict(list)
    for link in links:
        copies[link.first].append((link.equal, link.likeness, link.second))
        copies[link.second].append((link.equal, link.likeness, link.first))
    count = len(sources[0])
    names = [label_names(source) for source in sources]

    def told(i: int) -> tuple[str, str | None]:
        """The id and the label of a sample."""
        k, at = (0, i) if i < count else (1, i - count)
        return sources[k].ids[at], names[k](at)

    def fault(i: int, kind: str, among: list[tuple[bool, float, int]]) -> Fault:
        equal, alike, partner = max(among, key=lambda copy: (copy[0], copy[1], -copy[2]))
        (its_id, label), (partner_id, partner_label) = told(i), told(partner)
        of = f" of {sources[1].name}" if partner >= count else ""
        reason = f"{'equal' if equal else 'nearly equal'} to {partner_id}{of}"
        if None not in (label, partner_label) and label != partner_label:
            reason += f", which has the label {partner_label}"
        return Fault(its_id, kind, reason, round(alike, 4), partner_id, label, place=i, partner_place=partner)

    found = []
    left: set[int] = set()  # copies of samples that stay
    for i in sorted(i for i in copies if i < count):
        earlier = [copy for copy in copies[i] if copy[2] < i and sides[copy[2]] == sides[i] and copy[2] not in left]
        later = [copy for copy in copies[i] if sides[copy[2]] > sides[i]]
        if earlier:
            left.add(i)
            equal = any(copy[0] for copy in earlier)
            found.append(fault(i, "duplicate" if equal else "near-duplicate", earlier))
        if later:
            found.append(fault(i, "leak", later))
    return found
