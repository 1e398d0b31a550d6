"""The headline of an evaluation of speech recognition: one sentence that states no more than the numbers support."""

from __future__ import annotations

from typing import Any

from likewise.report.headline import ENCODER_PROTOCOLS, clearly_above, percent, protocol_name
from likewise.runs.evaluation_table import points
from likewise.runs.recognition import Recognition, typical_recordings


def recognition_headline(recognition: Recognition) -> str | None:
    """The character errors of the encoder against training from scratch; None where no encoder was measured."""
    ours = _encoder_result(recognition)
    if ours is None:
        return None
    count = ours["labelled"]
    name = f"the {protocol_name(ours['protocol'], recognition)}"
    start = f"{with_recordings(count)} {name} gets {percent(ours['mean'])} of the characters wrong"
    scratch = recognition.summary("scratch", count)
    if scratch is None:
        return f"{start}, always giving the commonest transcript {percent(recognition['baseline']['cer'])}."
    both = f"{start}, training from scratch {percent(scratch['mean'])}"
    if ours["seeds"] == 1:
        return f"{both}: one trial each, which is too few to distinguish them."
    better, worse, by = _relation(recognition, ours, "scratch")
    if better:
        return f"{both}{by}."
    return f"{both}{by}: {'pretraining did not help' if worse else 'there is no clear difference'}."


def recognition_caveat(recognition: Recognition) -> str | None:
    """The best of what needs no pretraining, where the encoder of the headline is not clearly below it; else None."""
    ours = _encoder_result(recognition)
    if ours is None:
        return None
    names = [
        name for name in recognition.protocols if name != "scratch" and not recognition.details(name).get("pretrained")
    ]
    others = [row for name in names if (row := recognition.summary(name, ours["labelled"]))]
    best = min(others, key=lambda row: row["mean"], default=None)
    if ours["mean"] >= recognition["baseline"]["cer"]:
        constant = percent(recognition["baseline"]["cer"], 1)
        return f"Always giving the commonest transcript is no worse: {constant} of the characters are wrong."
    if best is None:
        return None
    better, worse, _ = _relation(recognition, ours, best["protocol"])
    if better:
        return None
    name = protocol_name(best["protocol"], recognition)
    relation = "makes fewer errors" if worse else "is not clearly worse"
    both = f"{percent(best['mean'], 1)} against {percent(ours['mean'], 1)}"
    return f"{name[0].upper()}{name[1:]} {relation}: {both} of the {protocol_name(ours['protocol'], recognition)}."


def more_errors_than_untrained(recognition: Recognition) -> str | None:
    """That the encoder of the headline is worth less than before its training, with a remedy; else None.

    Known weights count as forgotten only where the whole interval is above 0.
    """
    ours = _encoder_result(recognition)
    if ours is None:
        return None
    count = ours["labelled"]
    given, untrained = (recognition.difference(ours["protocol"], name, count) for name in ("as-given", "untrained"))
    if given and given["low"] is not None and given["low"] > 0:
        start, paired, known = "The training has forgotten", given, "the weights as given"
        remedy = "a smaller --encoder-lr or fewer --epochs"
    elif untrained and untrained["mean"] > 0:
        start, paired, known = "It learned its task, not yet useful features", untrained, "an untrained one"
        remedy = "more --epochs, another --augment or --method"
    else:
        return None
    start_of, name = with_recordings(count), protocol_name(ours["protocol"], recognition)
    more = f"{points(paired).lstrip('+')} points more character errors than {known}"
    return f"{start}: {start_of[0].lower()}{start_of[1:]} the {name} makes {more}. Try {remedy}."


def with_recordings(count: int | str) -> str:
    """A number of recordings as the start of a sentence."""
    if count == "all":
        return "With all transcripts"
    return "With 1 transcript" if count == 1 else f"With {count:,} transcripts"


def _relation(recognition: Recognition, ours: dict[str, Any], other: str) -> tuple[bool, bool, str]:
    """Whether the encoder clearly makes fewer errors, whether clearly more, and the difference for a sentence."""
    paired = recognition.difference(ours["protocol"], other, ours["labelled"])
    if paired and paired["low"] is not None:
        return paired["high"] < 0, paired["low"] > 0, f", a difference of {points(paired)} points"
    row = recognition.summary(other, ours["labelled"])
    assert row is not None
    return clearly_above(row, ours), clearly_above(ours, row), ""


def _encoder_result(recognition: Recognition) -> dict[str, Any] | None:
    """What headline and caveat are about; None where no encoder was measured at that number of recordings."""
    count = typical_recordings(recognition.counts)
    return next((row for name in ENCODER_PROTOCOLS if (row := recognition.summary(name, count))), None)
