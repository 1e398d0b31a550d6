"""The part of evaluation.json about speech recognition: error rates with few transcripts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from likewise.runs.counts import nearest_to_typical
from likewise.runs.declared import Count, Range

RecordingCount = Annotated[int, Range(1, 2**53)] | Literal["all"]
Measure = Literal["cer", "wer"]
Rate = Annotated[float, Range(0, 2**53)]
"""Of errors, by character or word of the reference: above 1 where too much is said."""
TYPICAL = 100
NAMES = {"cer": "character error rate", "wer": "word error rate"}


class ErrorTrial(TypedDict):
    """The errors of a protocol that learned from one draw of recordings."""

    protocol: str
    labelled: RecordingCount
    seed: Count
    cer: Rate
    wer: Rate


class ErrorSummary(TypedDict):
    """An error rate of a protocol with one number of recordings, over seeds."""

    protocol: str
    labelled: RecordingCount
    measure: Measure
    mean: Rate
    low: float | None
    high: float | None
    seeds: Annotated[int, Range(1, 2**53)]


class ErrorDifference(TypedDict):
    """By how much the error rate of one protocol is above that of another, seed by seed."""

    protocol: str
    versus: str
    labelled: RecordingCount
    measure: Measure
    mean: float
    low: float | None
    high: float | None


class ConstantTranscript(TypedDict):
    """The errors of always giving the commonest transcript."""

    transcript: str
    cer: Rate
    wer: Rate


class TranscribedExample(TypedDict):
    """A test recording, and what each protocol made of it."""

    id: str
    reference: str
    hypotheses: dict[str, str]


class TranscribedExamples(TypedDict):
    """What the first seed made of some test recordings."""

    labelled: RecordingCount
    recordings: list[TranscribedExample]


class RecordingCounts(TypedDict):
    """How many recordings with transcripts there are."""

    train: Count
    test: Count


class RecognitionFile(TypedDict):
    """What "recognition" of evaluation.json holds, as far as tables and the page use it."""

    recordings: RecordingCounts
    left_out: NotRequired[list[list[str]]]
    seeds: Annotated[int, Range(1, 2**53)]
    labelled: list[RecordingCount]
    protocols: list[str]
    protocol_details: dict[str, dict[str, Any]]
    baseline: ConstantTranscript
    trials: list[ErrorTrial]
    summary: list[ErrorSummary]
    differences: list[ErrorDifference]
    examples: TranscribedExamples


class Recognition(dict[str, Any]):
    """Error rates by protocol and number of recordings: see `RecognitionFile`."""

    @property
    def protocols(self) -> list[str]:
        """Those that have results, in order of display."""
        found = {row["protocol"] for row in self["summary"]}
        return [name for name in self["protocols"] if name in found]

    @property
    def counts(self) -> list[int | Literal["all"]]:
        """Numbers of recordings that have results, fewest first; "all" is last."""
        found = {row["labelled"] for row in self["summary"]}
        counts = [count for count in self["labelled"] if count in found]
        return sorted(counts, key=lambda n: math.inf if n == "all" else n)

    def details(self, protocol: str) -> dict[str, Any]:
        """What is known of a protocol: its "label", line "style", and whether it is "pretrained"."""
        return self["protocol_details"].get(protocol, {})

    def summary(self, protocol: str, count: int | str, measure: str = "cer") -> dict[str, Any] | None:
        """Mean and interval of an error rate; None where it was not measured."""
        wanted = (protocol, count, measure)
        return next((r for r in self["summary"] if (r["protocol"], r["labelled"], r["measure"]) == wanted), None)

    def difference(self, protocol: str, versus: str, count: int | str, measure: str = "cer") -> dict[str, Any] | None:
        """By how much an error rate is above another protocol's, seed by seed; None where that is not known."""
        wanted = (protocol, versus, count, measure)
        rows = self["differences"]
        return next((r for r in rows if (r["protocol"], r["versus"], r["labelled"], r["measure"]) == wanted), None)

    @property
    def compared(self) -> list[tuple[str, str]]:
        """The pairs of protocols that have differences."""
        return list(dict.fromkeys((row["protocol"], row["versus"]) for row in self["differences"]))


def typical_recordings(counts: Iterable[int | str]) -> int | Literal["all"]:
    """The number of recordings that headline and examples are about: 100, or the one nearest to it; else all."""
    return nearest_to_typical(counts, TYPICAL)
