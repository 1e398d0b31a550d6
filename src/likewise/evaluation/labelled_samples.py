"""What evaluations share that learn from some labelled samples: recordings with transcripts, images with masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from likewise.errors import UserError, nearest
from likewise.evaluation.inputs import LabelCount
from likewise.evaluation.measures import interval, paired_differences


def chosen_protocols(names: Sequence[str] | None, known: Sequence[str], *, of: str, given: bool) -> list[str]:
    """The protocols that are asked for, or all that can be run.

    Args:
        known: those that there are.
        of: what they are for, in the words of an error: "with transcripts".
        given: whether the run went on from known weights.

    Raises:
        UserError: for no name, an unknown one, or `as-given` without known weights.
    """
    if names is None:
        return [name for name in known if given or name != "as-given"]
    listed = ", ".join(known)
    if not names:
        raise UserError(f"protocols must be some of {listed}, got none")
    for name in names:
        if name not in known:
            raise UserError(f"protocols must, {of}, be some of {listed}, got '{name}'{nearest(name, known)}")
    if "as-given" in names and not given:
        raise UserError("as-given needs a run that went on from known weights: `likewise pretrain DATA --weights …`")
    return list(dict.fromkeys(names))


def sample_counts(
    asked: Sequence[LabelCount] | None, there: int, name: str, *, usual: Sequence[int], samples: str
) -> list[LabelCount]:
    """The numbers of labelled samples to learn from; if none are asked for, the usual ones, and all.

    Args:
        there: how many there are.
        name: of the data.
        usual: numbers.
        samples: what they are, in the plural.

    Raises:
        UserError: for what is no such number, or more than there are.
    """
    if asked is None:
        return [*(count for count in usual if count < there), "all"]
    rule = "labelled must be whole numbers of at least 1, or 'all', got"
    if not asked:
        raise UserError(f"{rule} none")
    for count in asked:
        if count == "all":
            continue
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(f"{rule} {count!r}")
        if count > there:
            raise UserError(
                f"labelled must be at most {there}, or 'all', got {count}: {name} has {there} {samples} to learn from"
            )
    return list(dict.fromkeys(asked))


def draw_samples(there: int, count: LabelCount, seed: int) -> Int[Tensor, " n"]:
    """Positions of `count` of so many samples; of one seed, a larger draw includes the smaller ones."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(there))
    return order if count == "all" else order[:count]


def summary_by_measure(trials: Sequence[dict[str, Any]], measures: Iterable[str]) -> list[dict[str, Any]]:
    """A row for each protocol, number of samples and measure: mean and 95 % interval over seeds."""
    groups: dict[tuple[str, LabelCount], list[dict[str, Any]]] = {}
    for trial in trials:
        groups.setdefault((trial["protocol"], trial["labelled"]), []).append(trial)
    rows = []
    for (protocol, count), group in groups.items():
        for measure in measures:
            mean, low, high = interval([trial[measure] for trial in group])
            row = {"protocol": protocol, "labelled": count, "measure": measure, "mean": mean, "low": low, "high": high}
            rows.append(row | {"seeds": len(group)})
    return rows


def differences_by_measure(
    trials: Sequence[dict[str, Any]], pairs: Sequence[tuple[str, str]], measures: Iterable[str]
) -> list[dict[str, Any]]:
    """As `paired_differences`, of each measure: the first protocol less the second."""
    rows = []
    for measure in measures:
        named = [trial | {"labels_per_class": trial["labelled"], "accuracy": trial[measure]} for trial in trials]
        for row in paired_differences(named, pairs):
            rows.append({"measure": measure, "labelled": row.pop("labels_per_class"), **row})
    return rows
