"""`likewise predict`: labels for the rest, by a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from likewise.atomic import check_file_place, telling_of_the_disk
from likewise.checks import check_int
from likewise.commands import FromPython
from likewise.console import count_of, plain, tell, tell_notes
from likewise.errors import Interrupted, UserError
from likewise.registry import MODALITIES

if TYPE_CHECKING:
    from likewise.commands.boxes import PredictedBoxes
    from likewise.commands.masks import PredictedMasks

PART = 4096
"""Samples that are kept at once, about: a killed prediction repeats no more."""
SHOWN_LABELS = 20


@dataclass(frozen=True, repr=False)
class Predictions:
    """What a classifier says of n samples: in memory, or in a file."""

    task: str
    rows: int
    abstained: int
    labels: dict[str, int]
    """How many samples got each label, the commonest first; empty of numbers."""
    measured: dict[str, Any] | None
    """How far they agree with the labels that the data has; None where it has none."""
    notes: list[str]
    out: str | None = None
    """The file."""
    table: list[dict[str, Any]] | None = None
    """From Python without `out`: id, label, probability and abstained of each sample; of numbers, id and value."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """From Python without `out`: (file, reason) of what is no sample; otherwise these are in .skipped.csv."""

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"Predictions(samples={self.rows}, task={self.task!r}, out={self.out!r})"

    def to_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in ("task", "rows", "abstained", "labels", "measured", "notes")}
        in_memory = {} if self.table is None else {"table": self.table, "skipped": self.skipped}
        return shown | {"out": self.out} | in_memory

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        head = f"{self.out or 'predictions'}: {count_of(self.rows, 'row')}"
        if self.abstained:
            why = "no label is above its threshold" if self.task == "multilabel" else "below the threshold"
            head += f", {self.abstained:,} abstained ({why})"
        parts: list[Any] = [plain(head)]
        if self.labels:
            table = Table("label", "samples", box=None, header_style="bold")
            table.columns[1].justify = "right"
            for name, count in list(self.labels.items())[:SHOWN_LABELS]:
                table.add_row(plain(name), f"{count:,}")
            if len(self.labels) > SHOWN_LABELS:
                table.caption = f"the {SHOWN_LABELS} commonest of {len(self.labels):,}"
            parts.append(table)
        parts += map(plain, _told(self.measured))
        return Group(*parts, *map(plain, self.notes))


def predict(
    classifier: Any,
    data: Any,
    *,
    out: Annotated[str | Path | None, Parameter(required=True)] = None,
    run: Any = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    batch_size: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Predictions | PredictedMasks | PredictedBoxes:
    """Predict the label of every sample: id, label, probability, and whether the classifier abstains.

    The file is written at the end. What is done until then is kept beside it: a command that was killed goes on where
    it was, and gives the same bytes. If the data has labels, the predictions are compared with them.

    Args:
        classifier: the folder that `likewise fit` made.
        data: what to predict the labels of: see `likewise pretrain`.
        out: a .parquet, .csv or .jsonl file, with columns id, label, probability and abstained; of numbers, id and
            value. Several labels are a list, in a .csv `a;b`. From Python, the rows are returned if not given. Of a
            classifier of masks, a folder: a PNG for each image. Of a detector of boxes, a .json file: COCO's results.
        run: the run that the classifier stands on, if it was moved.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        batch_size: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        How many samples got each label, and how far the predictions agree with labels that the data has.

    Raises:
        UserError: for a classifier of another encoder, samples that it does not take, or a file that cannot be written.
    """
    import numpy as np
    import pyarrow as pa
    import torch

    from likewise.commands.boxes import predict_boxes
    from likewise.commands.classified import encoder_of_classifier, open_classifier, same_data
    from likewise.commands.labelled import open_samples, use_own
    from likewise.commands.masks import predict_masks
    from likewise.commands.options import list_skipped, skipped_note
    from likewise.data.blocks import cut_notes
    from likewise.data.cache import digest
    from likewise.data.fingerprint import fingerprint
    from likewise.data.given_labels import words_of
    from likewise.evaluation.features import encoder_features, stream
    from likewise.evaluation.inputs import ComputeSettings
    from likewise.evaluation.predictions import PredictionParts, check_predictions_suffix, schema_of
    from likewise.tasks.answers import AnswerCounts, AnswerRule, Answers
    from likewise.tasks.linear_head import LinearHead
    from likewise.training.callbacks.progress import progress_bar
    from likewise.training.machine import device_name

    check_int(batch_size=batch_size)
    head, its_run = open_classifier(classifier, run, annotated=True)
    info = head.info
    own: dict[str, Any] = {"encoder": encoder, "views": views, "progress": progress}
    if info["task"] == "segmentation":
        return predict_masks(head, its_run, data, out, **own)
    if info["task"] == "detection":
        return predict_boxes(head, its_run, data, out, **own)
    if out is not None:
        check_predictions_suffix(Path(out))
        check_file_place(Path(out))
    known = info["encoder"]["modality"]
    reading = {
        # An encoder of pairs takes several: those that the labels were of.
        "modality": modality or (known if known in MODALITIES and its_run.modality != known else None),
        "text_column": text_column,
        "label_column": label_column,
        "per_file": per_file or None,
        "columns": columns,
    }
    table_of_labels = None if labels is None else Path(labels)
    source = open_samples(its_run, data, reading, labels=table_of_labels, root=root, progress=progress)
    if source.modality != known:
        raise UserError(
            f"data must be {known} samples, as those that {head.path} has learned from, got {source.name}, which is "
            f"{source.modality}"
        )
    views = use_own(its_run, encoder, views, source)
    tell_notes(cut_notes(source), show=progress)
    compute = ComputeSettings(torch.device(device_name()), batch_size, channels_last=True)
    network, its_views = encoder_of_classifier(head, its_run, views)
    featurize = encoder_features(compute.place(network).eval(), its_views, compute)
    linear = LinearHead(**head.arrays)
    rule = AnswerRule.of(info)
    words = words_of(source) if source.classes else None
    size = batch_size * max(1, PART // batch_size)  # whole batches: these decide about the last bits
    starts = range(0, len(source), size)
    schema = schema_of(rule.task)
    counts = AnswerCounts(rule.task, rule.classes)

    def predicted(start: int) -> pa.Table:
        places = torch.arange(start, min(start + size, len(source)))
        features = torch.cat(list(stream(featurize, source, places, batch_size=batch_size))).numpy()
        answers = rule.answers(linear, features)
        columns: dict[str, Any] = {"id": [str(id) for id in source.ids[start : start + size]]}
        if rule.task == "regression":
            columns |= {"value": answers.labels}
        else:
            columns |= {"label": answers.labels, "probability": answers.probabilities, "abstained": answers.abstained}
        return pa.table(columns, schema=schema)

    def count(start: int, table: pa.Table) -> None:
        found = table.to_pydict()
        abstained = np.array(found.get("abstained", [False] * len(table)), dtype=bool)
        answers = Answers(found.get("value") or found.get("label") or [], found.get("probability", []), abstained)
        counts.add(answers, None if words is None else words[start : start + len(table)])

    rows: list[dict[str, Any]] | None = None
    with progress_bar(show=progress) as report:
        if out is None:
            rows = []
            for start in starts:
                table = predicted(start)
                count(start, table)
                rows += table.to_pylist()
                report(len(rows), len(source), "predicting")
        else:
            key = digest([info["digest"], _encoder_digest(info), *rule, batch_size, size, fingerprint(source)])
            with telling_of_the_disk(Path(out)):
                try:
                    parts = PredictionParts(Path(out), key, schema)
                    done = 0
                    for part, start in enumerate(starts):
                        kept = parts.read(part)
                        if kept is None:
                            if done:
                                tell(f"going on after {done:,} of {count_of(len(source), 'sample')}", show=progress)
                            done = 0
                            kept = predicted(start)
                            parts.write(part, kept)
                        elif part == 0 or done:
                            done = start + len(kept)
                        count(start, kept)
                        report(start + len(kept), len(source), "predicting")
                    parts.finish(len(starts))
                except KeyboardInterrupt:
                    seen = f"{counts.samples:,} of {count_of(len(source), 'sample')}"
                    raise Interrupted(f"stopped after {seen}; the same command goes on") from None
            listing = list_skipped(source, Path(out))
    if left_out := skipped_note(source, "skipped of the result" if out is None else str(listing)):
        tell(f"{source.name}: {count_of(len(source), 'sample')}{left_out}", show=progress)
    measured = counts.measured()
    notes = []
    if measured is not None and same_data(info["labels"]["data"], data):
        notes.append(
            f"the classifier has learned from {count_of(info['labels']['samples'], 'sample')} of {source.name}: on new "
            "samples it is as accurate as `likewise fit` says"
        )
    return Predictions(
        rule.task,
        counts.samples,
        counts.abstained,
        dict(sorted(counts.by_label.items(), key=lambda item: (-item[1], item[0]))),
        measured,
        notes,
        None if out is None else str(out),
        rows,
        list(source.skipped) if out is None else [],
    )


def _encoder_digest(info: dict[str, Any]) -> str:
    """Of the encoder that the head stands on."""
    return (info.get("fine_tuned") or info["encoder"])["digest"]


def _told(measured: dict[str, Any] | None) -> list[str]:
    """What the comparison with labels says, in lines."""
    if measured is None:
        return []

    def share(value: dict[str, float]) -> str:
        return f"{value['mean']:.1%} ({value['low']:.1%} to {value['high']:.1%})"

    of = f"of {count_of(measured['samples'], 'sample')} with labels"
    if "r2" in measured:
        r2 = "–" if measured["r2"] is None else f"{measured['r2']:.3f}"
        lines = [f"R² {r2}, mean absolute error {measured['mean_absolute_error']:.4g}, {of}"]
    elif "exact_match" in measured:
        lines = [f"all labels right for {share(measured['exact_match'])} {of}; F1 {measured['micro_f1']:.3f}"]
    else:
        lines = [f"accuracy {share(measured['accuracy'])} {of}"]
        if "coverage" in measured and measured["accuracy_of_answers"] is not None:
            lines.append(
                f"accuracy {share(measured['accuracy_of_answers'])} of the {measured['coverage']:.1%} that are answered"
            )
    if unknown := measured["unknown_classes"]:
        what = "no numbers" if "r2" in measured else "not known to the classifier"
        lines.append(
            f"labels of the data that are {what}: {', '.join(unknown[:10])}{', …' if len(unknown) > 10 else ''}"
        )
    return lines
