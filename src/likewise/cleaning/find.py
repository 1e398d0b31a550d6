"""All faults of some samples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.cleaning.duplicates import Stage, duplicates
from likewise.cleaning.faults import OF_EMBEDDINGS, Fault, sorted_faults
from likewise.cleaning.label_errors import LEAST_LABELS, label_errors
from likewise.cleaning.mismatched import LEAST_PAIRS, fit_of_pairs
from likewise.cleaning.neighbours import NEAREST, Neighbours, neighbours
from likewise.cleaning.outliers import FENCE, LEAST_SAMPLES, outliers
from likewise.cleaning.trivial import trivial_samples
from likewise.data.copies import label_names
from likewise.data.source import Source
from likewise.data.text import empty_texts
from likewise.errors import UserError
from likewise.own_files import OWN

SIDES = {"train": 0, "unlabeled": 0, "val": 1, "test": 2}
"""The order of the splits of a folder: what is in an earlier one, too, is the leak."""
NAMED = 10  # classes that a note names

Embed = Callable[[Source], Float[Tensor, "n dim"]]


class Found(NamedTuple):
    """The faults of some samples, and what to know about how they were looked for."""

    faults: list[Fault]
    notes: list[str]
    outlier_scores: Float[np.ndarray, " n"] | None = None
    """See `Outliers.scores`; NaN of what was not judged. None where outliers were not looked for."""


def find_faults(
    source: Source,
    *,
    kinds: Collection[str],
    embed: Embed,
    embed_halves: Callable[[Source], tuple[Float[Tensor, "n dim"], Float[Tensor, "n dim"]]],
    stage: Stage,
    test: Source | None = None,
    splits: Mapping[str, str] | None = None,
    labels_wanted: bool = False,
) -> Found:
    """The faults of a source's samples, by kind, in each the surest first.

    Args:
        kinds: which are looked for.
        embed: the embeddings of a source's samples.
        embed_halves: those of the halves of pairs, in their joint space.
        test: samples that none of the source may be a copy of.
        splits: the subfolders of the source that are splits, by their kind.
        labels_wanted: whether it is an error where labels cannot be checked, and not only a note.

    Raises:
        UserError: for labels that cannot be checked, if they were asked for.
    """
    notes: list[str] = []
    count = len(source)
    faults = [Fault(file, "unreadable", why) for file, why in source.skipped if why != OWN]
    for part in source.parts or [source]:
        faults += [Fault(name, "empty", "holds no text") for name in empty_texts(part)]
    with stage("reading", count) as done:
        hollow = trivial_samples(source, done)
    name = label_names(source) if _has_labels(source) else lambda _: None
    faults += [fault._replace(label=name(fault.place)) for fault in hollow]
    # What is only clipped is still a recording.
    trivial = np.zeros(count, dtype=bool)
    trivial[[fault.place for fault in hollow if fault.kind != "clipped"]] = True

    sources = [source] if test is None else [source, test]
    features = torch.zeros(0, 0)
    near: Neighbours | None = None
    total = sum(map(len, sources))
    if set(OF_EMBEDDINGS) & set(kinds) and total > 1:
        features = torch.cat([embed(each) for each in sources])
        with stage("comparing", total) as done:
            near = neighbours(features, done)
    copies = np.arange(count)
    scores: Float[np.ndarray, " n"] | None = None
    if {"duplicate", "near-duplicate", "leak", "outlier", "label-error"} & set(kinds):
        sides = np.concatenate([_sides(source, splits or {}), np.full(total - count, 1 + max(SIDES.values()))])
        others = [] if test is None else [_trivial_places(test, stage)]
        found = duplicates(sources, sides, np.concatenate([trivial, *others]), near, stage)
        faults += found
        for fault in found:
            if fault.kind != "leak":
                copies[fault.place] = fault.partner_place
    features = features[:count]
    if {"outlier", "label-error"} & set(kinds):
        told = notes if "outlier" in kinds else []
        judged = ~trivial & (copies == np.arange(count))
        found, scores = _outliers(source, features, judged, near, name, told, stage)
        faults += found
        trivial[[fault.place for fault in found]] = True  # what is like nothing else is of no class
    if "label-error" in kinds:
        faults += _label_errors(source, features, trivial, copies, notes, labels_wanted)
    if "mismatched" in kinds and len(source.parts) > 1:
        faults += _mismatched(source, embed_halves, notes)
    return Found(sorted_faults(fault for fault in faults if fault.kind in kinds), notes, scores)


def _has_labels(source: Source) -> bool:
    return not source.slow_labels and bool(source.classes)


def _trivial_places(source: Source, stage: Stage) -> Bool[np.ndarray, " n"]:
    found = np.zeros(len(source), dtype=bool)
    with stage("reading", len(source)) as done:
        found[[fault.place for fault in trivial_samples(source, done) if fault.kind != "clipped"]] = True
    return found


def _sides(source: Source, splits: Mapping[str, str]) -> Int[np.ndarray, " n"]:
    """The number of the split that each sample lies in, by its path."""
    sides = np.zeros(len(source), dtype=np.int64)
    for role, folder in splits.items():
        if SIDES[role]:
            sides[[i for i, name in enumerate(source.ids) if name.startswith(f"{folder}/")]] = SIDES[role]
    return sides


def _outliers(
    source: Source,
    features: Float[Tensor, "n dim"],
    judged: Bool[np.ndarray, " n"],
    near: Neighbours | None,
    name: Callable[[int], str | None],
    notes: list[str],
    stage: Stage,
) -> tuple[list[Fault], Float[np.ndarray, " n"] | None]:
    """Those among the samples that are neither trivial nor copies of others, which would be each other's neighbours.

    With them, how unusual each sample is.
    """
    places = np.flatnonzero(judged)
    if len(places) < LEAST_SAMPLES:
        notes.append(f"outliers: not looked for among {len(places)} samples; {LEAST_SAMPLES} are needed")
        return [], None
    if near is None or len(places) < len(near.positions):
        chosen = features[torch.from_numpy(places)]
        with stage("comparing", len(places)) as done:
            near = neighbours(chosen, done)
    else:
        chosen = features
    judgement, found = outliers(chosen, near), []
    scores = np.full(len(judged), np.nan)
    scores[places] = judgement.scores
    for i, score in enumerate(judgement.scores.tolist()):
        if score >= FENCE:
            place = int(places[i])
            times = f"{judgement.from_neighbours[i]:.1f} times as far as is usual"
            middle = f"the mean of all {judgement.from_the_middle[i]:.1f} times"
            reason = f"far from all others: its {NEAREST}th neighbour is {times}, {middle}"
            found.append(Fault(source.ids[place], "outlier", reason, round(score, 2), label=name(place), place=place))
    return found, scores


def _label_errors(
    source: Source,
    features: Float[Tensor, "n dim"],
    trivial: Bool[np.ndarray, " n"],
    copies: Int[np.ndarray, " n"],
    notes: list[str],
    wanted: bool,
) -> list[Fault]:
    try:
        labels = source.labels().clone()
        labels[torch.from_numpy(trivial)] = -1
        found = label_errors(features, labels, torch.from_numpy(copies), name=source.name)
    except UserError as error:
        if wanted:
            raise
        notes.append(f"label errors: not looked for: {error}")
        return []
    if found.small:
        named = ", ".join(source.classes[i] for i in found.small[:NAMED])
        more = f" and {len(found.small) - NAMED:,} more" if len(found.small) > NAMED else ""
        notes.append(f"labels: classes of fewer than {LEAST_LABELS} are not checked: {named}{more}")
    faults = []
    for i, suggested, (own, other) in zip(found.positions, found.suggested, found.probabilities, strict=True):
        label, better = source.classes[int(labels[i])], source.classes[suggested]
        reason = f"looks like {better} (probability {other:.2f}), not like {label} ({own:.3f})"
        faults.append(
            Fault(source.ids[i], "label-error", reason, round(1 - own, 4), label=label, suggested=better, place=i)
        )
    return faults


def _mismatched(
    source: Source,
    embed_halves: Callable[[Source], tuple[Float[Tensor, "n dim"], Float[Tensor, "n dim"]]],
    notes: list[str],
) -> list[Fault]:
    if len(source) < LEAST_PAIRS:
        notes.append(f"mismatched pairs: not looked for among {len(source)} pairs; {LEAST_PAIRS} are needed")
        return []
    fit = fit_of_pairs(*embed_halves(source))
    if not fit.tells_apart:
        notes.append("mismatched pairs: not looked for: the encoder does not tell pairs that fit from others")
        return []
    return [
        Fault(
            source.ids[i],
            "mismatched",
            f"its halves do not fit: {share:.0%} of other halves fit one of them better",
            round(share, 3),
            place=i,
        )
        for i, share in enumerate(fit.closer.tolist())
        if fit.mismatched[i]
    ]
