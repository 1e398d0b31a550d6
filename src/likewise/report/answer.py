"""The one-sentence answer of an evaluation, in words that the numbers bear out."""

from __future__ import annotations

import math
from typing import Any

from likewise.report.contents import Evaluation

WAY_NAMES = {
    "scratch": "trained from scratch",
    "frozen": "frozen encoder",
    "fine-tuned": "fine-tuned encoder",
    "untrained": "untrained encoder",
    "pixels-knn": "nearest neighbours on pixels",
    "pixels-logistic": "logistic regression on pixels",
}
ENCODER_WAYS = ("frozen", "fine-tuned")


def way_name(way: str) -> str:
    """What to call a way of learning; one we have no words for keeps its own name."""
    return WAY_NAMES.get(way, way)


def percent(accuracy: float, decimals: int = 0) -> str:
    """0.873 as "87 %" (with a space that does not break)."""
    return f"{100 * accuracy:.{decimals}f}\u00a0%"


def with_labels(count: int | str) -> str:
    """A number of labels per class as the start of a sentence."""
    if count == "all":
        return "With all labels"
    return "With 1 label per class" if count == 1 else f"With {count:,} labels per class"


def clearly_above(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether the whole 95 % interval of `a` lies above that of `b`; never, when either has no interval."""
    return a["low"] is not None and b["high"] is not None and a["low"] > b["high"]


def typical_count(evaluation: Evaluation) -> int | str:
    """The number of labels that the answer speaks of: 10 per class, or the measured one nearest to it.

    A fixed rule, so that the most flattering column is not the one that is picked.
    """
    numbers = [n for n in evaluation.counts if isinstance(n, int)]
    return min(numbers, key=lambda n: abs(math.log(n / 10))) if numbers else "all"


def answer(evaluation: Evaluation) -> str | None:
    """What pretraining was worth against training from scratch; None when neither was measured."""
    count = typical_count(evaluation)
    encoder = next((way for way in ENCODER_WAYS if evaluation.summary(way, count)), None)
    if encoder is None:
        return None
    ours, scratch = evaluation.summary(encoder, count), evaluation.summary("scratch", count)
    assert ours is not None
    start, name = with_labels(count), f"the {way_name(encoder)}"
    if scratch is None:
        majority = evaluation.facts.get("majority")
        beside = "" if majority is None else f", always naming the most frequent class {percent(majority)}"
        return f"{start} {name} is right {percent(ours['mean'])} of the time{beside}."
    decimals = 0 if abs(ours["mean"] - scratch["mean"]) >= 0.02 else 1
    right, other = percent(ours["mean"], decimals), percent(scratch["mean"], decimals)
    if ours["low"] is None or scratch["low"] is None:
        return (
            f"{start} {name} is right {right} of the time, training from scratch {other}: "
            "one trial each, so the difference is a hint, not a result."
        )
    if clearly_above(ours, scratch):
        return f"{start} {name} is right {right} of the time, training from scratch {other}."
    if clearly_above(scratch, ours):
        return f"{start} pretraining did not pay: {name} is right {right} of the time, from scratch {other}."
    return (
        f"{start} there is no clear difference: {name} is right {right} of the time, "
        f"training from scratch {other}, and their 95\u00a0% intervals overlap."
    )


def caveat(evaluation: Evaluation) -> str | None:
    """The best of what needs no pretraining, when the encoder is not clearly above it; else None."""
    count = typical_count(evaluation)
    rows = [row for way in evaluation.ways if (row := evaluation.summary(way, count))]
    ours = [row for row in rows if row["way"] in ENCODER_WAYS]
    others = [row for row in rows if row["way"] not in (*ENCODER_WAYS, "scratch")]
    if not ours or not others:
        return None
    encoder, other = (max(group, key=lambda row: row["mean"]) for group in (ours, others))
    if encoder["low"] is None or clearly_above(encoder, other):
        return None
    if clearly_above(other, encoder):
        relation = "does better"
    else:
        relation = "is not clearly worse" if other["mean"] < encoder["mean"] else "is no worse"
    name = way_name(other["way"])
    return (
        f"{name[0].upper()}{name[1:]} {relation}: {percent(other['mean'], 1)} "
        f"against {percent(encoder['mean'], 1)} of the {way_name(encoder['way'])}."
    )
