"""The headline of an evaluation: one sentence that states no more than the numbers support."""

from __future__ import annotations

import math
from typing import Any

from likewise.runs.counts import nearest_to_typical
from likewise.runs.evaluation import Evaluation
from likewise.runs.evaluation_table import points
from likewise.runs.recognition import Recognition
from likewise.runs.table import Table, is_number

ENCODER_PROTOCOLS = ("frozen", "fine-tuned")
"""The protocols that the headline may be about: the first that was measured."""


def protocol_name(protocol: str, evaluation: Evaluation | Recognition) -> str:
    """A protocol's label, as in the middle of a sentence; its name where the file has no label."""
    label = str(evaluation.details(protocol).get("label") or protocol)
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def percent(accuracy: float, decimals: int = 0) -> str:
    """0.873 as "87 %" (with a space that does not break)."""
    return f"{100 * accuracy:.{decimals}f}\u00a0%"


def format_number(value: int | float, unit: str) -> str:
    """A number of a table: a share times 100, large and whole numbers as whole ones, others to three digits."""
    if not math.isfinite(value):
        return str(value)
    if unit == "%":
        return f"{100 * value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def sentence(text: str) -> str:
    """With a capital letter in front and a full stop at the end."""
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?:" else f"{text}."


def with_labels(count: int | str) -> str:
    """A number of labels per class as the start of a sentence."""
    if count == "all":
        return "With all labels"
    return "With 1 label per class" if count == 1 else f"With {count:,} labels per class"


def clearly_above(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether the whole 95 % interval of `a` lies above that of `b`; a row without one counts as its single value."""
    low = a["mean"] if a["low"] is None else a["low"]
    high = b["mean"] if b["high"] is None else b["high"]
    return low > high


def _relation(evaluation: Evaluation, encoder: dict[str, Any], other: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the encoder is clearly better, and whether it is clearly worse: by the paired difference if known."""
    count = encoder["labels_per_class"]
    paired = evaluation.difference(encoder["protocol"], other["protocol"], count)
    if paired and paired["low"] is not None:
        return paired["low"] > 0, paired["high"] < 0
    return clearly_above(encoder, other), clearly_above(other, encoder)


def typical_count(evaluation: Evaluation) -> int | str:
    """The number of labels that the headline is about: 10 per class, or the measured one nearest to it.

    A fixed rule, so that the column is not chosen by its result.
    """
    return nearest_to_typical(evaluation.counts)


def headline(evaluation: Evaluation) -> str | None:
    """The encoder against training from scratch; without labels, the first numbers of the first table.

    None when there are labels and no encoder was measured.
    """
    if not evaluation.protocols and evaluation.tables:
        return _first_numbers(evaluation.tables[0])
    ours = _headline_result(evaluation)
    if ours is None:
        return None
    count = ours["labels_per_class"]
    scratch = evaluation.summary("scratch", count)
    start, name = with_labels(count), f"the {protocol_name(ours['protocol'], evaluation)}"
    if scratch is None:
        majority = evaluation.get("majority")
        beside = "" if majority is None else f", always predicting the most frequent class {percent(majority)}"
        return f"{start} {name} is right {percent(ours['mean'])} of the time{beside}."
    decimals = 0 if abs(ours["mean"] - scratch["mean"]) >= 0.02 else 1
    right, other = percent(ours["mean"], decimals), percent(scratch["mean"], decimals)
    both = f"{name} is right {right} of the time, training from scratch {other}"
    if ours["seeds"] == scratch["seeds"] == 1:
        return f"{start} {both}: one trial each, which is too few to distinguish them."
    paired = evaluation.difference(ours["protocol"], "scratch", count)
    by = f", a difference of {points(paired)} points" if paired and paired["low"] is not None else ""
    better, worse = _relation(evaluation, ours, scratch)
    if better:
        return f"{start} {both}{by}."
    if worse:
        return f"{start} pretraining did not help: {both}{by}."
    if by:
        return f"{start} there is no clear difference: {both}{by}."
    if min(ours["seeds"], scratch["seeds"]) == 1:  # with all labels, a frozen encoder has no randomness
        intervals = f"the 95\u00a0% interval of its {max(ours['seeds'], scratch['seeds'])} seeds contains both"
    else:
        intervals = "their 95\u00a0% intervals overlap"
    return f"{start} there is no clear difference: {both}, and {intervals}."


def caveat(evaluation: Evaluation) -> str | None:
    """The best protocol without pretraining, when the encoder of the headline is not clearly above it; else None."""
    encoder = _headline_result(evaluation)
    if encoder is None:
        return None
    protocols = [
        protocol
        for protocol in evaluation.protocols
        if not evaluation.details(protocol).get("pretrained") and protocol != "scratch"
    ]
    others = [row for protocol in protocols if (row := evaluation.summary(protocol, encoder["labels_per_class"]))]
    other = max(others, key=lambda row: row["mean"], default=None)
    if other is None:
        return None
    better, worse = _relation(evaluation, encoder, other)
    if better:
        return None
    close = "is not clearly worse" if other["mean"] < encoder["mean"] else "is no worse"
    relation = "does better" if worse else close
    name = protocol_name(other["protocol"], evaluation)
    single = ", one trial each" if encoder["seeds"] == other["seeds"] == 1 else ""
    return (
        f"{name[0].upper()}{name[1:]} {relation}: {percent(other['mean'], 1)} "
        f"against {percent(encoder['mean'], 1)} of the {protocol_name(encoder['protocol'], evaluation)}{single}."
    )


def less_than_untrained(evaluation: Evaluation) -> str | None:
    """That the encoder of the headline is worth less than before its training, with a remedy; else None.

    Known weights count as forgotten only where the whole interval is below 0.
    """
    encoder = _headline_result(evaluation)
    if encoder is None:
        return None
    count = encoder["labels_per_class"]
    given, untrained = (evaluation.difference(encoder["protocol"], name, count) for name in ("as-given", "untrained"))
    if given and given["high"] is not None and given["high"] < 0:
        start, paired, known = "The training has forgotten", given, "the weights as given"
        remedy = "a smaller --encoder-lr or fewer --epochs"
    elif untrained and untrained["mean"] < 0:
        start, paired, known = "It learned its task, not yet useful features", untrained, "an untrained one"
        remedy = "more --epochs, another --augment or --method"
    else:
        return None
    labels, name = with_labels(count), protocol_name(encoder["protocol"], evaluation)
    turned = {"mean": -paired["mean"], "high": None if paired["low"] is None else -paired["low"]}
    below = f"{labels[0].lower()}{labels[1:]} the {name} is {points(turned).lstrip('+')} points below {known}"
    return f"{start}: {below}. Try {remedy}."


def _first_numbers(table: Table) -> str | None:
    """The first column of numbers, for the rows that belong with the first one."""
    column = table.name_columns
    if not 0 < column < len(table.head):
        return None
    unit = "\u00a0%" if table.units[column] == "%" else ""
    group = [row for row in table.rows if row[: column - 1] == table.rows[0][: column - 1]]
    numbers = ", ".join(
        f"{format_number(value, table.units[column])}{unit} ({row[column - 1]})"
        for row in group
        if is_number(value := row[column])
    )
    about = ", ".join([table.title, *map(str, table.rows[0][: column - 1])])
    return sentence(f"{about}: {table.head[column]} {numbers}")


def _headline_result(evaluation: Evaluation) -> dict[str, Any] | None:
    """The result that headline and caveat are about; None when no encoder was measured at that number of labels."""
    count = typical_count(evaluation)
    return next((row for protocol in ENCODER_PROTOCOLS if (row := evaluation.summary(protocol, count))), None)
