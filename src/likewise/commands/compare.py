"""`likewise compare`: several runs, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from likewise.console import count_of, plain
from likewise.errors import UserError
from likewise.runs.counts import nearest_to_typical
from likewise.runs.evaluation import Evaluation
from likewise.runs.evaluation_table import accuracy, points
from likewise.runs.recognition import NAMES, typical_recordings

if TYPE_CHECKING:
    from likewise.runs.folder import RunFolder

PROTOCOLS = ("frozen", "fine-tuned")
"""Those of which a comparison shows accuracies."""
SAME = ("train", "test", "classes", "samples")
"""What two evaluations share whose draws of labels are the same."""


@dataclass(frozen=True)
class RunComparison:
    """What is known of several runs, and how they differ from the first."""

    labels_per_class: int | str | None
    """Of the accuracies; None where no run has any."""
    runs: list[dict[str, Any]]
    """Of each: run, method, encoder, weights, epochs, samples, seconds, verdict, effective_rank, lidar, probe, accuracy
    and errors."""
    differences: list[dict[str, Any]]
    """Of each later run and protocol: run, versus, protocol, mean, low, high, seeds."""
    notes: list[str]
    labelled: int | str | None = None
    """How many recordings with transcripts the error rates are with; None where no run has any."""
    error_differences: list[dict[str, Any]] = field(default_factory=list)
    """Of each later run, protocol and measure (cer, wer): run, versus, protocol, measure, mean, low, high, seeds."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        caption = "effective rank (RankMe), LiDAR: of the last embeddings, larger is better among equal dims"
        table = Table(title="runs", caption=caption)
        table.add_column("")
        for run in self.runs:
            table.add_column(plain(run["run"]), justify="right", overflow="fold")
        for name, show in _ROWS.items():
            cells = ["–" if run[name] is None else show(run[name]) for run in self.runs]
            if set(cells) != {"–"}:
                table.add_row(_HEADINGS.get(name, name), *map(plain, cells))
        for protocol in PROTOCOLS if self.labels_per_class is not None else ():
            found = [run["accuracy"].get(protocol) for run in self.runs]
            count = self.labels_per_class
            labels = count_of(count, "label") if isinstance(count, int) else f"{count} labels"
            name = f"{protocol}, {labels} per class, %"
            table.add_row(name, *("–" if row is None else accuracy(row) for row in found))
            paired = [self._difference(run["run"], protocol) for run in self.runs]
            if any(paired):
                table.add_row("  against the first, points", *("–" if row is None else points(row) for row in paired))
        for protocol, (measure, error) in product(PROTOCOLS if self.labelled is not None else (), NAMES.items()):
            found = [run["errors"].get(protocol, {}).get(measure) for run in self.runs]
            count = self.labelled
            said = count_of(count, "transcript") if isinstance(count, int) else f"{count} transcripts"
            cells = ["–" if row is None else accuracy(row) for row in found]
            if set(cells) != {"–"}:
                table.add_row(f"{protocol}, {said}: {error}, %", *cells)
            paired = [self._error_difference(run["run"], protocol, measure) for run in self.runs]
            if any(paired):
                table.add_row("  against the first, points", *("–" if row is None else points(row) for row in paired))
        return Group(table, *map(plain, self.notes))

    def _error_difference(self, run: str, protocol: str, measure: str) -> dict[str, Any] | None:
        wanted = (run, protocol, measure)
        rows = self.error_differences
        return next((row for row in rows if (row["run"], row["protocol"], row["measure"]) == wanted), None)

    def _difference(self, run: str, protocol: str) -> dict[str, Any] | None:
        return next((row for row in self.differences if (row["run"], row["protocol"]) == (run, protocol)), None)


_ROWS: dict[str, Any] = {
    "method": str,
    "encoder": str,
    "weights": str,
    "epochs": "{:,}".format,
    "samples": "{:,}".format,
    "seconds": "{:,.0f}".format,
    "verdict": str,
    "effective_rank": "{:.1f}".format,
    "lidar": "{:.1f}".format,
    "probe": "{:.1%}".format,
}
_HEADINGS = {"effective_rank": "effective rank", "lidar": "LiDAR"}


def compare(*runs: Any, labels_per_class: int | Literal["all"] | None = None) -> RunComparison:
    """Compare runs: their recipes, verdicts, effective ranks, accuracies with few labels and error rates of speech.

    Evaluations on the same data draw the same labels, or recordings with transcripts, so accuracies and errors are
    compared seed by seed with the first run. The intervals are over draws of labels: that another training seed gives
    another encoder is not in them. The effective rank (RankMe, arXiv:2210.02885) and LiDAR (arXiv:2312.04000) need no
    labels: they choose among runs of the same method and width on the same data.

    Args:
        runs: two or more runs, or their folders; the later ones are compared with the first.
        labels_per_class: with how many labels of each class accuracies are compared; if not given 10, or the number
            nearest to it that all evaluated runs have.

    Raises:
        UserError: for fewer than two runs, or a number of labels that no evaluation has.
    """
    from likewise.evaluation.labelled_samples import differences_by_measure
    from likewise.evaluation.measures import paired_differences
    from likewise.evaluation.recognition import MEASURES
    from likewise.runs.folder import RunFolder

    if len(runs) < 2:
        raise UserError(f"runs must be two or more, got {len(runs)}: likewise compare RUN RUN")
    opened = [run if isinstance(run, RunFolder) else RunFolder.open(run) for run in runs]
    paths = [run.path.resolve() for run in opened]
    if again := next((run.path for run, path in zip(opened, paths, strict=True) if paths.count(path) > 1), None):
        raise UserError(f"runs must be different folders, got {again} twice")
    evaluations = [run.evaluation for run in opened]
    count = _count(evaluations, labels_per_class)
    labelled = _labelled(evaluations)
    rows = [_row(run, evaluation, count, labelled) for run, evaluation in zip(opened, evaluations, strict=True)]
    first, differences = evaluations[0], []
    for run, evaluation in zip(opened[1:], evaluations[1:], strict=True):
        if count is None or first is None or evaluation is None or not _same_draws(first, evaluation):
            continue
        for protocol in PROTOCOLS:
            trials = [
                trial | {"protocol": which}
                for which, each in (("this", evaluation), ("first", first))
                for trial in each.trials(protocol, count)
            ]
            for row in paired_differences(trials, [("this", "first")]):
                named = {"run": str(run.path), "versus": str(opened[0].path), "protocol": protocol}
                differences.append(named | {name: row[name] for name in ("mean", "low", "high", "seeds")})
    errors = []
    heard = None if first is None else first.recognition
    for run, evaluation in zip(opened[1:], evaluations[1:], strict=True):
        other = None if evaluation is None else evaluation.recognition
        if heard is None or other is None or not _same_recordings(evaluations[0], evaluation):
            continue
        for protocol in PROTOCOLS:
            trials = [
                trial | {"protocol": which}
                for which, each in (("this", other), ("first", heard))
                for trial in each["trials"]
                if (trial["protocol"], trial["labelled"]) == (protocol, labelled)
            ]
            for row in differences_by_measure(trials, [("this", "first")], MEASURES):
                named = {"run": str(run.path), "versus": str(opened[0].path), "protocol": protocol}
                errors.append(named | {name: row[name] for name in ("measure", "mean", "low", "high", "seeds")})
    return RunComparison(count, rows, differences, list(_notes(opened, evaluations)), labelled, errors)


def _same_draws(one: Evaluation, other: Evaluation) -> bool:
    return all(one.get(key) == other.get(key) for key in SAME)


def _same_recordings(one: Evaluation | None, other: Evaluation | None) -> bool:
    """Whether two evaluations drew from the same recordings with transcripts."""
    if one is None or other is None or one.recognition is None or other.recognition is None:
        return False
    return _same_draws(one, other) and one.recognition["recordings"] == other.recognition["recordings"]


def _labelled(evaluations: list[Evaluation | None]) -> int | str | None:
    """The number of recordings of the error rates."""
    measured: list[set[int | str]] = [
        set(heard.counts) for each in evaluations if each is not None and (heard := each.recognition)
    ]
    return typical_recordings(set.intersection(*measured) or set.union(*measured)) if measured else None


def _count(evaluations: list[Evaluation | None], asked: int | str | None) -> int | str | None:
    """The number of labels of the accuracies."""
    measured = [set(each.counts) for each in evaluations if each is not None and each.protocols]
    if asked is not None and not any(asked in counts for counts in measured):
        known = ", ".join(map(str, dict.fromkeys(c for e in evaluations if e is not None for c in e.counts))) or "none"
        raise UserError(f"labels_per_class must be a number that was measured: {known}, got {asked}")
    if asked is not None or not measured:
        return asked
    return nearest_to_typical(set.intersection(*measured) or set.union(*measured))


def _row(
    run: RunFolder, evaluation: Evaluation | None, count: int | str | None, labelled: int | str | None
) -> dict[str, Any]:
    config, verdict = run.config, run.verdict
    recipe = config["recipe"]

    def last(name: str) -> float | None:
        return next((value for value in reversed(run.history.column(name)) if math.isfinite(value)), None)

    found = {} if evaluation is None else {name: evaluation.summary(name, count) for name in PROTOCOLS if count}
    heard = None if evaluation is None else evaluation.recognition
    errors: dict[str, dict[str, Any]] = {}
    for protocol, measure in product(PROTOCOLS, NAMES):
        if heard and labelled is not None and (row := heard.summary(protocol, labelled, measure)):
            errors.setdefault(protocol, {})[measure] = {key: row[key] for key in ("mean", "low", "high", "seeds")}
    shown = ("mean", "low", "high", "seeds")
    return {
        "run": str(run.path),
        "method": (config["method"] or {}).get("name"),
        "encoder": recipe.get("encoder"),
        "weights": recipe.get("weights"),
        "epochs": recipe["epochs"],
        "samples": config["source"]["samples"],
        "seconds": config.get("seconds"),
        "verdict": None if verdict is None else verdict.kind,
        "effective_rank": last("effective_rank"),
        "lidar": (config.get("lidar") or {}).get("value"),
        "probe": last("probe"),
        "accuracy": {name: {key: row[key] for key in shown} for name, row in found.items() if row is not None},
        "errors": errors,
    }


def _notes(runs: list[RunFolder], evaluations: list[Evaluation | None]) -> Iterator[str]:
    first = evaluations[0]
    for run, evaluation in zip(runs, evaluations, strict=True):
        if evaluation is None:
            yield (
                f"{run.path} is not evaluated: `likewise evaluate {run.path}`, with --train and --test where it has "
                "learned from all of its data"
            )
        elif first is not None and not _same_draws(first, evaluation):
            yield f"{run.path} was evaluated on other data than {runs[0].path}: no paired difference"
