"""evaluation.json: the result of an evaluation: accuracies with few labels, tables of other measures, or both."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NotRequired, TypedDict

from rich.console import Console, RenderableType

from likewise.atomic import write_json
from likewise.runs.declared import Count, Measured, Range, Share, check_declared
from likewise.runs.detection import DetectionFile
from likewise.runs.evaluation_table import render_table
from likewise.runs.files import check_keys, read_object
from likewise.runs.part import RunPart
from likewise.runs.recognition import Recognition, RecognitionFile
from likewise.runs.recognition_table import recognition_tables
from likewise.runs.segmentation import SegmentationFile
from likewise.runs.table import Table

INTERVALS = ("summary", "differences")
"""Lists of rows with an interval, "low" and "high", or with none."""
LabelCount = Annotated[int, Range(1, 2**53)] | Literal["all"]


class CurvePoint(TypedDict):
    """A point of a learning curve."""

    epoch: Annotated[float, Range(0, 2**53)]
    train_loss: Measured
    train_accuracy: Share
    test_loss: Measured
    test_accuracy: Share


class Trial(TypedDict):
    """The result of a protocol on one draw of labels."""

    protocol: str
    labels_per_class: LabelCount
    confusion: NotRequired[list[tuple[Count, Count, Count]] | None]
    """The non-zero entries of the matrix, each [true, predicted, samples]."""
    curve: NotRequired[list[CurvePoint] | None]


class Summary(TypedDict):
    """The results of a protocol with one number of labels."""

    protocol: str
    labels_per_class: LabelCount
    mean: Share
    low: float | None
    high: float | None
    seeds: Annotated[int, Range(1, 2**53)]
    balanced_accuracy: NotRequired[Share]
    macro_f1: NotRequired[Share]


class Difference(TypedDict):
    """By how much one protocol is more accurate than another, seed by seed."""

    protocol: str
    versus: str
    labels_per_class: LabelCount
    mean: Annotated[float, Range(-1, 1)]
    low: float | None
    high: float | None


class MeasuresTable(TypedDict):
    """A `likewise.runs.table.Table`."""

    title: str
    caption: NotRequired[str | None]
    head: list[str]
    units: list[str]
    rows: list[list[str | Measured | None]]


class SampleCounts(TypedDict):
    """How many samples there are."""

    train: NotRequired[Count]
    test: NotRequired[Count]


class ProtocolSettings(TypedDict):
    """What the protocols were given, as far as the page makes sentences of it."""

    curve_samples: NotRequired[Count]


class EpisodeSummary(TypedDict):
    """The accuracy of a classifier in few-shot episodes."""

    features: str
    classifier: str
    shot: Annotated[int, Range(1, 2**53)]
    mean: Share
    low: float | None
    high: float | None


class EpisodeDifference(TypedDict):
    """By how much the trained features are more accurate than others, episode by episode."""

    features: str
    versus: str
    classifier: str
    shot: Annotated[int, Range(1, 2**53)]
    mean: Annotated[float, Range(-1, 1)]
    low: float | None
    high: float | None


class AdaptationPoint(TypedDict):
    """The accuracy in few-shot episodes after so many steps of the inner loop."""

    features: str
    shot: Annotated[int, Range(1, 2**53)]
    step: Count
    mean: Share
    low: float | None
    high: float | None


class FewShotFile(TypedDict):
    """What "few_shot" of evaluation.json holds."""

    classes: list[str]
    classifiers: list[str]
    way: Annotated[int, Range(2, 2**53)]
    shots: list[Annotated[int, Range(1, 2**53)]]
    query: Annotated[int, Range(1, 2**53)]
    episodes: Annotated[int, Range(1, 2**53)]
    seed: Count
    chance: Share
    summary: list[EpisodeSummary]
    differences: list[EpisodeDifference]
    adaptation: NotRequired[list[AdaptationPoint]]


class EvaluationFile(TypedDict):
    """What evaluation.json holds, as far as tables and the page use it."""

    train: NotRequired[str]
    test: NotRequired[str]
    samples: NotRequired[SampleCounts]
    classes: NotRequired[list[str]]
    seeds: NotRequired[Count]
    labels_per_class: NotRequired[list[LabelCount]]
    protocols: NotRequired[list[str]]
    chance: NotRequired[Share]
    majority: NotRequired[Share]
    trials: NotRequired[list[Trial]]
    summary: NotRequired[list[Summary]]
    differences: NotRequired[list[Difference]]
    uneven: NotRequired[bool]
    settings: NotRequired[ProtocolSettings]
    tables: NotRequired[list[MeasuresTable]]
    recognition: NotRequired[RecognitionFile]
    few_shot: NotRequired[FewShotFile]
    segmentation: NotRequired[SegmentationFile]
    detection: NotRequired[DetectionFile]
    command: NotRequired[str]
    notes: NotRequired[list[str]]


class Evaluation(dict[str, Any], RunPart):
    """The result of an evaluation, which prints itself as a table.

    Keys: test, samples; where labels were drawn train, classes, seeds, labels_per_class, protocols, protocol_details,
    chance, majority, raw, trials, summary, differences, uneven, settings; where there is something else to measure
    tables; with transcripts train and recognition (`likewise.runs.recognition`); of episodes few_shot; of masks
    segmentation; of boxes detection; where test samples are copies of training samples copies; command, skipped, notes.
    """

    FILE: ClassVar[str] = "evaluation.json"
    incomplete: bool = False
    """Whether it could not be written into the run."""

    def save(self, folder: Path) -> None:
        write_json(folder / self.FILE, self)

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        evaluation = cls(read_object(folder / cls.FILE))
        needed = {"protocols", "labels_per_class", "summary", "trials"}
        if needed & evaluation.keys() or not (evaluation.get("tables") or "recognition" in evaluation):
            check_keys(evaluation, needed)
        check_declared(dict(evaluation), EvaluationFile)
        inner = {f"{name}.": evaluation.get(name, {}) for name in ("recognition", "segmentation", "detection")}
        for held in (evaluation, *inner.values()):
            details = held.get("protocol_details", {})
            if not (
                isinstance(details, dict)
                and all(isinstance(one, dict) and isinstance(one.get("style", {}), dict) for one in details.values())
            ):
                raise ValueError("protocol_details must hold a label and a style for each protocol")
        rows = [
            (f"{inside}{name}", place, row)
            for inside, held in {"": evaluation, **inner}.items()
            for name in INTERVALS
            for place, row in enumerate(held.get(name, []))
        ]
        for name, place, row in rows:
            if (row["low"] is None) != (row["high"] is None):
                raise ValueError(f"{name}[{place}] must have low and high, or neither")
        classes = len(evaluation.get("classes", []))
        for place, trial in enumerate(evaluation.get("trials", [])):
            for true, predicted, _ in trial.get("confusion") or []:
                if max(true, predicted) >= classes:
                    raise ValueError(
                        f"trials[{place}].confusion must name {classes} classes, got {max(true, predicted)}"
                    )
        for table in evaluation.tables:
            if {len(table.units), *map(len, table.rows)} != {len(table.head)}:
                raise ValueError(f"table {table.title!r} has a row of another length than its head")
        return evaluation

    @property
    def tables(self) -> list[Table]:
        """What was measured without drawing labels."""
        return [Table.from_dict(table) for table in self.get("tables", [])]

    @property
    def recognition(self) -> Recognition | None:
        """The error rates of speech recognition; None where there were no transcripts."""
        return Recognition(self["recognition"]) if "recognition" in self else None

    @property
    def protocols(self) -> list[str]:
        """The protocols that have results, in order of display; none where no labels were drawn."""
        found = {row["protocol"] for row in self.get("summary", [])}
        return [protocol for protocol in self.get("protocols", []) if protocol in found]

    def details(self, protocol: str) -> dict[str, Any]:
        """What is known of a protocol: its "label", line "style", and whether it is "pretrained"."""
        return self.get("protocol_details", {}).get(protocol, {})

    @property
    def counts(self) -> list[int | str]:
        """Labels per class that have results, fewest first; "all" is last."""
        found = {row["labels_per_class"] for row in self.get("summary", [])}
        counts = [count for count in self.get("labels_per_class", []) if count in found]
        return sorted(counts, key=lambda n: math.inf if n == "all" else n)

    def summary(self, protocol: str, count: int | str) -> dict[str, Any] | None:
        """Mean and interval of a protocol at one number of labels per class, None where it was not measured."""
        rows = self.get("summary", [])
        return next((r for r in rows if r["protocol"] == protocol and r["labels_per_class"] == count), None)

    def difference(self, protocol: str, versus: str, count: int | str) -> dict[str, Any] | None:
        """By how much one protocol is more accurate than another, seed by seed; None where that is not known."""
        wanted = (protocol, versus, count)
        rows = self.get("differences", [])
        return next((r for r in rows if (r["protocol"], r["versus"], r["labels_per_class"]) == wanted), None)

    def trials(self, protocol: str, count: int | str) -> list[dict[str, Any]]:
        """The single trials behind a summary, one per seed."""
        rows = self.get("trials", [])
        return [r for r in rows if r["protocol"] == protocol and r["labels_per_class"] == count]

    def curves(self, protocol: str, count: int | str) -> list[list[dict[str, Any]]]:
        """Learning curves, one per seed that has one; each is a list of points."""
        return [trial["curve"] for trial in self.trials(protocol, count) if trial.get("curve")]

    @property
    def samples_per_class(self) -> float | None:
        """Training samples per class on average: what "all" labels are; None where the counts are not known."""
        samples, classes = self.get("samples", {}).get("train"), self.get("classes")
        return samples / len(classes) if samples and classes else None

    def confusion(self, protocol: str, count: int | str) -> list[list[int]] | None:
        """Counts summed over seeds, a row for each true class, a column for each predicted one; None without any."""
        entries = [entry for trial in self.trials(protocol, count) for entry in trial.get("confusion") or []]
        if not entries:
            return None
        matrix = [[0] * len(self["classes"]) for _ in self["classes"]]
        for true, predicted, samples in entries:
            matrix[true][predicted] += samples
        return matrix

    def to_json(self) -> dict[str, Any]:
        return dict(self)

    def __rich__(self) -> RenderableType:
        spoken = self.recognition
        first = [] if spoken is None else recognition_tables(spoken, str(self.get("test", "the test data")))
        return render_table(self, first)

    def __str__(self) -> str:
        console = Console(width=100, file=io.StringIO())
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip()
