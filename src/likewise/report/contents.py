"""What a run folder holds, read once: every part may be missing, a part that cannot be read is named."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from likewise.errors import UserError
from likewise.report.pictures import Sheet, sheet
from likewise.report.samples import Samples, read_samples

T = TypeVar("T")
GALLERY_PIXELS = 1_500_000


@dataclass(frozen=True)
class Pairs:
    """Samples that training brings together: two views of each, or the two `halves` of pairs."""

    first: Samples
    second: Samples
    halves: bool

    @property
    def unchanged(self) -> bool:
        """Whether both views of each sample are the same to look at."""
        kinds = ("pictures", "words", "sounds")
        return all(np.array_equal(getattr(self.first, kind), getattr(self.second, kind)) for kind in kinds)


@dataclass(frozen=True)
class Snapshots:
    """Cosine similarities of one fixed batch of pairs, first views then second views, by stage."""

    steps: Int[np.ndarray, " k"]
    epochs: Float[np.ndarray, " k"]
    similarity: Float[np.ndarray, "k views views"]


@dataclass(frozen=True)
class Gallery:
    """Samples with their embeddings. `labels` index `classes`; both are absent when nobody labelled them.

    `pictures` are absent where samples are nothing to look at, `words` where they are nothing to read.
    """

    pictures: UInt8[np.ndarray, "m c h w"] | None
    words: list[str] | None
    embeddings: Float[np.ndarray, "m dim"]
    ids: list[str]
    classes: list[str]
    labels: Int[np.ndarray, " m"] | None

    @cached_property
    def sheet(self) -> Sheet | None:
        """The samples as they look on the page; smaller, the more there are."""
        if self.pictures is None:
            return None
        side = int(np.clip((GALLERY_PIXELS / len(self.pictures)) ** 0.5, 16, 96))
        return sheet("gallery", self.pictures, side=side)

    def caption(self, index: int) -> str:
        """The class of a sample and its words, or where it came from."""
        if self.labels is None:
            return self.words[index] if self.words else self.ids[index]
        name = self.classes[self.labels[index]]
        return f"{name}: {self.words[index]}" if self.words else f"{name} ({self.ids[index]})"


@dataclass(frozen=True)
class ShownRow(Samples):
    """Samples side by side, and what they are called."""

    name: str = ""


@dataclass(frozen=True)
class Shown:
    """Rows of samples that the method made to be looked at."""

    title: str
    caption: str
    rows: list[ShownRow]


@dataclass(frozen=True)
class Matches:
    """The best answers to some queries, from each half of pairs (row 0: the first) to the other."""

    names: list[str]
    """What the halves are called."""
    candidates: int
    queries: Int[np.ndarray, " q"]
    answers: Int[np.ndarray, "2 q k"]
    right: Bool[np.ndarray, "2 q k"]
    ranks: Int[np.ndarray, "2 q"]
    """The place of each query's first right answer among all candidates, from 1."""
    halves: tuple[Samples, Samples]
    """What `queries` and `answers` index."""


@dataclass(frozen=True)
class Table:
    """Figures, the first cells of a row saying whose they are."""

    title: str
    caption: str
    head: list[str]
    units: list[str]
    """Of each column: "%" for shares, shown times 100."""
    rows: list[list[Any]]

    @property
    def names(self) -> int:
        """How many of the first columns are no figures."""
        return next((n for n in range(len(self.head)) if any(is_figure(row[n]) for row in self.rows)), len(self.head))


def is_figure(value: Any) -> bool:
    """Whether a cell of a table is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Evaluation:
    """evaluation.json: accuracies in [0, 1] of several ways of learning from few labels, tables, or both."""

    facts: dict[str, Any]

    @cached_property
    def tables(self) -> list[Table]:
        """What was measured without drawing labels."""
        return [
            Table(
                title=str(table["title"]),
                caption=str(table.get("caption") or ""),
                head=[str(name) for name in table["head"]],
                units=[str(unit) for unit in table["units"]],
                rows=[list(row) for row in table["rows"]],
            )
            for table in self.facts.get("tables", [])
        ]

    @property
    def protocols(self) -> list[str]:
        """The protocols that have results, in order of display; none where no labels were drawn."""
        found = {row["protocol"] for row in self.facts.get("summary", [])}
        return [protocol for protocol in self.facts.get("protocols", []) if protocol in found]

    def details(self, protocol: str) -> dict[str, Any]:
        """What the file says of a protocol: its "label", line "style", and whether it is "pretrained"."""
        return self.facts.get("protocol_details", {}).get(protocol, {})

    @property
    def counts(self) -> list[int | str]:
        """Labels per class, fewest first; "all" is last."""
        return sorted(self.facts.get("labels_per_class", []), key=lambda n: math.inf if n == "all" else n)

    def summary(self, protocol: str, count: int | str) -> dict[str, Any] | None:
        """Mean and interval of one protocol at one number of labels per class, None where it was not measured."""
        rows = self.facts.get("summary", [])
        return next((r for r in rows if r["protocol"] == protocol and r["labels_per_class"] == count), None)

    def trials(self, protocol: str, count: int | str) -> list[dict[str, Any]]:
        """The single trials behind a summary, one per seed."""
        rows = self.facts.get("trials", [])
        return [r for r in rows if r["protocol"] == protocol and r["labels_per_class"] == count]

    def curves(self, protocol: str, count: int | str) -> list[list[dict[str, Any]]]:
        """Learning curves, one per seed that has one; each is a list of points."""
        return [trial["curve"] for trial in self.trials(protocol, count) if trial.get("curve")]

    @property
    def samples_per_class(self) -> float | None:
        """Training samples per class on average: what "all" labels are; None where the counts are not known."""
        samples, classes = self.facts.get("samples", {}).get("train"), self.facts.get("classes")
        return samples / len(classes) if samples and classes else None

    def confusion(self, protocol: str, count: int | str) -> Float[np.ndarray, "k k"] | None:
        """Counts summed over seeds: rows are true classes, columns the predicted ones."""
        entries = [entry for trial in self.trials(protocol, count) for entry in trial.get("confusion") or []]
        if not entries:
            return None
        true, predicted, counts = np.array(entries).T
        matrix = np.zeros((len(self.facts["classes"]),) * 2)
        np.add.at(matrix, (true, predicted), counts)
        return matrix


@dataclass
class Contents:
    """A run folder's parts; a missing one is None or empty."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Float[np.ndarray, " rows"]] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    pairs: Pairs | None = None
    snapshots: Snapshots | None = None
    shown: list[Shown] = field(default_factory=list)
    gallery: Gallery | None = None
    evaluation: Evaluation | None = None
    matches: Matches | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """One line per file that is there and could not be read."""


def read_contents(folder: Path) -> Contents:
    """Read what is there of a run folder.

    Raises:
        UserError: `folder` is not a folder, or has none of a run's files.
    """
    if not folder.is_dir():
        raise UserError(f"run folder {str(folder)!r} does not exist; `likewise pretrain DATA --out …` makes one")
    contents = Contents(folder)
    found = 0

    def part(name: str, read: Callable[[Path], T], missing: T) -> T:
        nonlocal found
        path = folder / name
        if not path.exists():
            return missing
        found += 1
        try:
            return read(path)
        except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as error:
            contents.unreadable.append(f"{name}: {type(error).__name__}: {error}")
            return missing

    contents.config = part("config.json", _json_object, {})
    contents.metrics = part("metrics.csv", _metrics, {})
    contents.chance = part("chance.json", _chance, {})
    contents.verdict = part("verdict.json", _verdict, None)
    contents.pairs = part("pairs.npz", _pairs, None)
    contents.snapshots = part("snapshots.npz", _snapshots, None)
    contents.shown = part("pictures.npz", _shown, [])
    contents.gallery = part("gallery.npz", _gallery, None)
    contents.evaluation = part("evaluation.json", _evaluation, None)
    contents.matches = part("matches.npz", _matches, None)
    contents.skipped = part("skipped.csv", _skipped, [])
    if not found:
        raise UserError(f"{str(folder)!r} is not a run folder: it has no config.json, metrics.csv or gallery.npz")
    return contents


def _json_object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _chance(path: Path) -> dict[str, float]:
    return {name: float(level) for name, level in _json_object(path).items()}


def _verdict(path: Path) -> dict[str, Any]:
    verdict = _json_object(path)
    if missing := {"kind", "words", "causes", "remedy"} - verdict.keys():
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    return verdict


def _metrics(path: Path) -> dict[str, Float[np.ndarray, " rows"]]:
    """Columns of numbers; a blank, or the half-written last row of a running training, is NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        names = reader.fieldnames or []
    return {name: np.array([_number(row.get(name)) for row in rows]) for name in names}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _pairs(path: Path) -> Pairs:
    with np.load(path, allow_pickle=False) as arrays:
        return Pairs(read_samples(arrays, "first"), read_samples(arrays, "second"), "halves" in arrays)


def _snapshots(path: Path) -> Snapshots:
    with np.load(path, allow_pickle=False) as arrays:
        return Snapshots(arrays["steps"], arrays["epochs"], arrays["similarity"])


def _shown(path: Path) -> list[Shown]:
    with np.load(path, allow_pickle=False) as arrays:
        return [
            Shown(
                str(sheet["title"]),
                str(sheet["caption"]),
                [
                    ShownRow(
                        name=row["name"],
                        pictures=arrays.get(f"{i}-{j}"),
                        words=row["words"],
                        sounds=arrays.get(f"{i}-{j}-sounds"),
                        sample_rate=row.get("sample_rate"),
                    )
                    for j, row in enumerate(sheet["rows"])
                ],
            )
            for i, sheet in enumerate(json.loads(str(arrays["words"])))
        ]


def _matches(path: Path) -> Matches:
    with np.load(path, allow_pickle=False) as arrays:
        return Matches(
            names=[str(name) for name in arrays["names"]],
            candidates=int(arrays["candidates"]),
            queries=arrays["queries"],
            answers=arrays["answers"],
            right=arrays["right"],
            ranks=arrays["ranks"],
            halves=(read_samples(arrays, "first"), read_samples(arrays, "second")),
        )


def _gallery(path: Path) -> Gallery:
    with np.load(path, allow_pickle=False) as arrays:
        labelled = "labels" in arrays and "classes" in arrays
        return Gallery(
            pictures=arrays.get("pictures"),
            words=[str(text) for text in arrays["words"]] if "words" in arrays else None,
            embeddings=arrays["embeddings"],
            ids=[str(name) for name in arrays["ids"]],
            classes=[str(name) for name in arrays["classes"]] if labelled else [],
            labels=arrays["labels"] if labelled else None,
        )


def _evaluation(path: Path) -> Evaluation:
    facts = _json_object(path)
    needed = {"protocols", "labels_per_class", "summary", "trials"}
    missing = needed - facts.keys()
    if missing and not (missing == needed and facts.get("tables")):
        raise ValueError(f"lacks {', '.join(sorted(missing))}")
    details = facts.get("protocol_details", {})
    if not (
        isinstance(details, dict)
        and all(isinstance(one, dict) and isinstance(one.get("style", {}), dict) for one in details.values())
    ):
        raise ValueError("protocol_details must hold a label and a style for each protocol")
    evaluation = Evaluation(facts)
    for table in evaluation.tables:
        if any(len(row) != len(table.head) for row in [table.units, *table.rows]):
            raise ValueError(f"table {table.title!r} has a row of another length than its head")
    return evaluation


def _skipped(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["file"], row["reason"]) for row in csv.DictReader(file)]
