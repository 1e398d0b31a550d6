"""`likewise fit`: a classifier on the features of a run, from few labels."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from likewise import __version__
from likewise.atomic import check_writable, telling_of_the_disk
from likewise.checks import check_choice, check_int, check_interval, check_seed
from likewise.commands import FromPython
from likewise.console import count_of, tell
from likewise.errors import UserError

if TYPE_CHECKING:
    from likewise.runs.classifier import Classifier

PROTOCOLS = ("frozen", "frozen-decoder", "fine-tuned")
UNEVEN = 3
"""Times as many labels as the rarest class the commonest one may have without a word about it."""
NAMED = 10
"""Classes that a note names."""


def fit(
    run: Any,
    data: Any = None,
    *,
    labels: Annotated[Any, Parameter(required=True)] = None,
    out: str | Path | None = None,
    task: str | None = None,
    protocol: Literal["frozen", "frozen-decoder", "fine-tuned"] = "frozen",
    coverage: float | None = None,
    accuracy: float | None = None,
    balanced: bool = False,
    seed: int = 0,
    tile: int | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    batch_size: int = 512,
    encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Classifier:
    """Fit a classifier to labelled samples: a linear head on the features of a run, whose encoder is not changed.

    The head is a logistic regression, for numbers a ridge regression. Its regularisation is chosen, its accuracy is
    measured and its probabilities are calibrated by cross-validation. With `--protocol fine-tuned` a copy of the
    encoder is trained with the head, and kept in the classifier.

    Args:
        run: a finished run, or its folder.
        data: the samples that the labels are of; those that the run has learned from if not given.
        labels: a table (.csv …) that names files and their labels, or the ids of samples, or that holds labelled
            samples itself, such as texts; or a folder with a subfolder for each class. A label `a;b` is several labels.
            From Python also a dict of labels by id.
        out: the folder of the classifier; `classifier` in the run folder if not given. One that is there is replaced.
        task: classification (one class a sample), multilabel (several, or none) or regression (numbers); as the labels
            look if not given. segmentation or detection: --labels is a folder of images with masks or boxes.
        protocol: frozen, or fine-tuned: a copy of the encoder learns with the head, from one class a sample. Three more
            trainings cross-validate it. frozen-decoder, of segmentation: a small network on the encoder's maps, which
            also sees what lies around a place.
        coverage: the share of samples to answer, such as 0.9; the classifier abstains from the others, the least sure.
        accuracy: the share of right answers to reach, such as 0.95, by abstaining from as few samples as that takes.
        balanced: whether all classes count the same, however many labels they have.
        seed: of the folds of the cross-validation.
        tile: of segmentation and detection, the side in pixels of squares that each image is cut into, where things are
            small in large images; `likewise predict` cuts images likewise.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        root: the folder with the files of a named data set.
        batch_size: samples at a time.
        encoder: from Python, the module that was trained, if it was your own.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        The classifier: `path`, its folder, and `info`, which is printed as a table.

    Raises:
        UserError: for labels that name no sample, of one class only, or a folder that cannot be written to.
    """
    import numpy as np
    import torch

    from likewise.commands.annotated import check_task, check_task_tile
    from likewise.commands.annotated_tasks import TASKS as ANNOTATED_TASKS
    from likewise.commands.fit_annotated import fit_annotated
    from likewise.commands.labelled import features_of, left_out_note, open_labelled, use_own
    from likewise.commands.options import as_run, command_line, reopenable
    from likewise.data.cache import digest
    from likewise.data.source import Subset
    from likewise.evaluation.fine_tuned_head import FOLDS as FINE_TUNED_FOLDS
    from likewise.evaluation.fine_tuned_head import fit_fine_tuned
    from likewise.evaluation.inputs import ComputeSettings
    from likewise.modalities.encoder_digest import encoder_digest
    from likewise.modalities.towers import encoder_for
    from likewise.runs.classifier import ARRAYS, Classifier, relative_to
    from likewise.tasks.cross_validation import FOLDS
    from likewise.tasks.fitted_head import TASKS, fit_head
    from likewise.tasks.targets import targets_of
    from likewise.training.callbacks.progress import progress_bar
    from likewise.training.machine import device_name

    run = as_run(run)
    if labels is None:
        raise UserError(
            "labels must be given: a table of files and labels, or a folder with a subfolder for each class"
        )
    check_interval(0, 1, closed="right", coverage=coverage, accuracy=accuracy)
    check_choice(PROTOCOLS, protocol=protocol)
    if coverage is not None and accuracy is not None:
        raise UserError("give one of --coverage and --accuracy: each decides when the classifier abstains")
    check_seed(seed)
    check_int(batch_size=batch_size)
    check_task_tile(task, tile)
    path = run.path / "classifier" if out is None else Path(out).expanduser()
    Classifier.check_place(path)
    with telling_of_the_disk(path, "name another folder with --out"):
        check_writable(path)
    reading = {
        "modality": modality,
        "text_column": text_column,
        "label_column": label_column,
        "per_file": per_file or None,
        "columns": columns,
    }
    if task in ANNOTATED_TASKS:
        useless = {"data": data, "coverage": coverage, "accuracy": accuracy, "balanced": balanced, "root": root}
        check_task(task, modality, useless | reading | {"modality": None})
        how: dict[str, Any] = {"protocol": protocol, "seed": seed, "tile": tile, "encoder": encoder, "views": views}
        return fit_annotated(ANNOTATED_TASKS[task], run, labels, path, **how, progress=progress)
    if protocol == "frozen-decoder":
        raise UserError("--protocol frozen-decoder applies to --task segmentation: leave it out")
    samples = open_labelled(run, data, labels, reading, root=root, progress=progress)
    where = samples.file or samples.source.name
    if data is not None and samples.with_samples and reopenable(data) != samples.file:
        raise UserError(
            f"data must be left out: the labels in {where} lie with samples of their own; a table gives labels to "
            "other data by the names of files, or by a column id"
        )
    found = targets_of(samples.known, task, where, order=samples.source.classes)
    if found.task != "classification" and (coverage is not None or accuracy is not None):
        raise UserError(
            f"--coverage and --accuracy apply to one class a sample, the labels of {where} are {found.task}"
        )
    if balanced and found.task == "regression":
        raise UserError(f"--balanced applies to classes, the labels of {where} are numbers: leave it out")
    if protocol == "fine-tuned" and found.task != "classification":
        raise UserError(
            f"--protocol fine-tuned applies to one class a sample, the labels of {where} are {found.task}: leave it out"
        )
    views = use_own(run, encoder, views, samples.source)
    places, groups = samples.places, samples.source.groups
    with progress_bar(show=progress) as report:
        features = features_of(
            run, views, samples.source, places, batch_size=batch_size, report=report, progress=progress
        )
        choices: dict[str, Any] = {
            "seed": seed,
            "groups": None if groups is None else groups.numpy()[places],
            "balanced": balanced,
            "coverage": coverage,
            "accuracy": accuracy,
            "progress": report,
        }
        tuned = None
        if protocol == "fine-tuned":
            tower, its_views = encoder_for(samples.source.modality, run.encoder, views)
            chosen = Subset(samples.source, torch.from_numpy(places))
            compute = ComputeSettings(torch.device(device_name()), channels_last=True)
            tuned = fit_fine_tuned(tower, its_views, chosen, features, found.targets, compute=compute, **choices)
            fitted = tuned.fitted
        else:
            fitted = fit_head(TASKS[found.task](), features, found.targets, **choices)
    options = {
        "data": data,
        "labels": labels,
        "out": path,
        "task": found.task,
        "protocol": None if protocol == "frozen" else protocol,
        "coverage": coverage,
        "accuracy": accuracy,
        "balanced": balanced or None,
        "seed": seed,
        **reading,
        "root": root,
    }
    folds = FOLDS if tuned is None else FINE_TUNED_FOLDS
    ids = [str(samples.source.ids[i]) for i in places.tolist()]
    classifier = Classifier(
        path,
        {
            "likewise": __version__,
            "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": command_line("fit", run.path, options),
            "task": found.task,
            "classes": found.classes,
            "counts": found.counts,
            "encoder": {
                "run": str(run.path.resolve()),
                "relative": relative_to(path, run.path),
                "digest": encoder_digest(run),
                "dim": features.shape[1],
                "modality": samples.source.modality,
            },
            **({} if tuned is None else {"fine_tuned": {"digest": "", "steps": tuned.steps, "folds": folds}}),
            "labels": {
                "file": samples.file,
                "data": samples.data,
                "digest": digest(sorted(zip(ids, samples.known, strict=True))),
                "samples": len(places),
            },
            "variance": fitted.variance,
            "balanced": balanced,
            "seed": seed,
            "temperature": fitted.temperature,
            "threshold": fitted.threshold,
            "thresholds": fitted.thresholds,
            "cross_validation": fitted.figures,
            "notes": [
                *samples.notes,
                *left_out_note(samples),
                *_notes(found.task, found.classes, found.counts, fitted.figures, balanced, folds),
            ],
        },
        {name: np.asarray(array, dtype=np.float32) for name, array in zip(ARRAYS, fitted.head, strict=True)},
    )
    with telling_of_the_disk(path, "name another folder with --out"):
        classifier.save(None if tuned is None else tuned.encoder)
    tell(f"the classifier: {path}; `likewise predict {path} DATA --out predictions.csv` uses it", show=progress)
    return classifier


def _notes(
    task: str, classes: list[str], counts: list[int], figures: dict[str, Any] | None, balanced: bool, folds: int
) -> list[str]:
    """What people should know of the labels."""
    notes = []
    once = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if once and task == "classification":
        more = f" and {len(once) - NAMED:,} more" if len(once) > NAMED else ""
        verb = "has one label: it is" if len(once) == 1 else "have one label each: they are"
        notes.append(
            f"{', '.join(once[:NAMED])}{more} {verb} learned, but not cross-validated: that needs two labels of a class"
        )
    if figures is None:
        notes.append("nothing could be cross-validated: how accurate the classifier is, is not known")
        return notes
    few = [count for count in counts if 1 < count < folds]
    if few and task == "classification":
        notes.append(
            f"{count_of(len(few), 'class', 'classes')} with fewer than {folds} labels: not every fold tests them"
        )
    if counts and not balanced and max(counts) > UNEVEN * max(1, min(counts)):
        notes.append(
            f"classes are uneven ({min(counts):,} to {max(counts):,} labels): look at the recall of each; --balanced "
            "gives all the same weight"
        )
    return notes
