"""What `likewise distill` needs beside two trainings: the teacher's way to read, the recipe alone, and the measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from likewise.atomic import write_text
from likewise.commands.given import names_weights, run_of_weights
from likewise.commands.labelled import open_samples
from likewise.commands.options import (
    READ,
    applicable,
    as_run,
    has_seen,
    is_own_data,
    open_train_and_test,
    own_splits,
    read_options_for,
    read_options_of,
)
from likewise.data.levels import source_range
from likewise.encoders.base import encoder_name
from likewise.encoders.folder import FOLDER
from likewise.encoders.pair import Tower
from likewise.encoders.text import is_static
from likewise.errors import UserError
from likewise.evaluation import ComputeSettings, evaluate_encoder
from likewise.evaluation.inputs import LabelCount
from likewise.evaluation.labels import label_counts, shared_labels
from likewise.evaluation.measures import paired_differences, summarize
from likewise.evaluation.side_by_side import (
    FROZEN,
    MeasuredEncoder,
    bytes_of,
    frozen_trials,
    parameters_of,
    renamed,
    samples_per_second,
)
from likewise.methods import method_class
from likewise.methods.distill import Distill
from likewise.modalities.lookup import modality_of
from likewise.registry import MODALITIES
from likewise.training.budget import planned
from likewise.training.callbacks.progress import progress_bar
from likewise.training.machine import device_name
from likewise.training.recipe import Recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    from likewise.data.source import Source
    from likewise.modalities.run import Run

TEACHER, STUDENT, ALONE, UNTRAINED = "teacher", "student", "alone", "untrained"
RECIPE = "alone.yaml"  # in the run folder of the student
TOKENIZER = "tokenizer.json"  # in a run folder
OF_WEIGHTS = ("weights", "freeze_epochs", "encoder_lr", "layer_decay", "lora")
"""Fields of a recipe that a training from random weights does not have."""


def teacher_of(
    run: Any, data: Any, given: dict[str, Any], *, size: int | None, root: Any, progress: bool
) -> tuple[Run, Source]:
    """The teacher, and the samples that the student learns from, read as the teacher's own were.

    Args:
        run: as the command takes it.
        data: what to learn from; None for the teacher's own.
        given: options of how data is read.

    Raises:
        UserError: for what is no finished run, or data that cannot be read.
    """
    if names_weights(run):
        if data is None:
            raise UserError(f"{run} has no data of its own: name some with --data")
        asked = read_options_of(**given)
        teacher = run_of_weights(run, data, size=size, out=None, root=root, read_options=asked, progress=progress)
    elif size is not None:
        raise UserError("--size applies to known weights (timm:NAME, hf:FOLDER), not to a run: leave it out")
    else:
        teacher = as_run(run)
    if not teacher.finished:
        raise UserError(f"{teacher.path} is not finished: `{teacher.config['command']} --resume` goes on with it")
    source = open_samples(teacher, data, given, root=root, progress=progress)
    if source.parts:
        raise UserError(
            f"data must be samples of one modality, got {source.name}, which is pairs: a student learns one half, so "
            "name the images, the texts or the recordings"
        )
    if source.modality not in MODALITIES:
        raise UserError(f"data must be {', '.join(MODALITIES)} samples, got {source.name}, which is {source.modality}")
    return teacher, source


def training_values(
    teacher: Run, source: Source, views: Any, data: Any, given: dict[str, Any], *, encoder: str, root: Any
) -> dict[str, Any]:
    """What a training on these samples is given, so that its views are prepared as the teacher's are.

    Raises:
        UserError: for an encoder that prepares samples in a way of its own.
    """
    if source.modality == "text" and encoder.startswith(FOLDER):
        raise UserError(
            f"encoder must be one that learns from the teacher's tokens, such as bert-tiny, got {encoder}, which has a "
            "tokenizer of its own"
        )
    read = read_options_for(teacher, read_options_of(**given), data)
    reading = applicable({name: getattr(read, name) for name in READ}, data)
    fields = modality_of(source.modality).recipe_fields
    shape = {name: getattr(views, name) for name in fields if hasattr(views, name)}
    if "tokenizer" in shape:
        shape = {"tokenizer": str((teacher.path / TOKENIZER).resolve()), "max_tokens": shape["max_tokens"]}
    if source_range(source) is not None:
        shape["range"] = views.range
    per_file = bool(reading.pop("per_file", False))
    root = root or (teacher.config["source"]["root"] if is_own_data(teacher, data) else None)
    return {**reading, "per_file": per_file, "modality": source.modality, **shape, "root": root}


def alone_recipe(teacher: Run, student: Run, source: Source) -> Path:
    """The recipe of the student's encoder without a teacher, as a file in the student's folder.

    It is the teacher's, from random weights; where that is of other samples or another distillation, or the teacher was
    not trained here, or one of the two is static, whose rates are not those of a network, it is the usual one of such
    samples.
    """
    said, own = teacher.config["recipe"], student.config["recipe"]
    method = (teacher.config["method"] or {}).get("name")
    usual = modality_of(source.modality).default_method
    known = method_class(method) if method else Distill
    fits = teacher.modality == source.modality and not issubclass(known, Distill)
    if fits and is_static(said["encoder"]) == is_static(own["encoder"]):
        known_fields = {each.name for each in dataclasses.fields(Recipe)} - set(OF_WEIGHTS)
        recipe = Recipe.of({name: value for name, value in said.items() if name in known_fields})
    else:
        recipe = load_recipe(usual) if usual in recipe_names() else Recipe(method=usual)
    fields = ("encoder", *modality_of(source.modality).recipe_fields)
    shape = {name: own[name] for name in fields if name in own}
    recipe = dataclasses.replace(planned(recipe, own["epochs"], given=()), **shape)
    path = student.path / RECIPE
    write_text(path, recipe.to_yaml())
    return path


class LabelledData(NamedTuple):
    """Labelled samples to measure on; None where there are none, and `notes` say why."""

    train: Source | None
    test: Source | None
    notes: list[str]


def named_data(run: Run, train: Any, test: Any, given: dict[str, Any], *, root: Any, progress: bool) -> LabelledData:
    """Labelled data to measure encoders on, read as the samples of a run are.

    Raises:
        UserError: for data that cannot be read, or has no labels.
    """
    asked = read_options_of(**given)
    options = [read_options_for(run, asked, each) for each in (train, test)]
    of_train, of_test = open_train_and_test(train, test, options, root, progress)
    if of_train is None or not (of_train.classes and of_test.classes):
        raise UserError(f"train and test must have labels, got {train} and {test}: name labelled data")
    shared_labels(of_train, of_test)
    return LabelledData(of_train, of_test, [])


def check_counts(labelled: LabelledData, labels_per_class: Sequence[LabelCount] | None, seeds: int) -> None:
    """Raise `UserError` for numbers of labels that the data does not have, or no seed."""
    if labelled.train is not None and labelled.test is not None:
        label_counts(labelled.train, labelled.test, labels_per_class, seeds=seeds)


def held_out_data(student: Run, given: dict[str, Any], *, root: Any, progress: bool) -> LabelledData:
    """What the data of the student holds out, if it is labelled."""
    try:
        train, test = own_splits(student, read_options_of(**given), root)
        return named_data(student, train, test, given, root=root, progress=progress)
    except UserError as error:
        return LabelledData(None, None, [f"no accuracy was measured: {error}"])


def seen_notes(runs: Sequence[Run], test: Any) -> list[str]:
    """Which runs have learned from the samples that encoders were measured on."""
    seen = [run.path for run in runs if has_seen(run, test)]
    return [f"{path} has learned from samples of {test}, without their labels" for path in seen]


class Comparison(NamedTuple):
    """Accuracies of encoders with the same few labels."""

    summary: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    evaluation: dict[str, Any]
    """Of the student, as `likewise evaluate` keeps it; empty where nothing was measured."""


def evaluated(
    encoders: Mapping[str, MeasuredEncoder],
    student: Run,
    labelled: LabelledData,
    *,
    labels_per_class: Sequence[LabelCount] | None,
    seeds: int,
    progress: bool,
) -> Comparison:
    """Linear heads on the features of each encoder, and of the student's architecture untrained.

    Raises:
        UserError: for more labels per class than any class has.
    """
    train, test = labelled.train, labelled.test
    if train is None or test is None:
        return Comparison([], [], {})
    counts = label_counts(train, test, labels_per_class, seeds=seeds)
    compute = ComputeSettings(torch.device(device_name()), channels_last=True)
    with progress_bar(show=progress) as report:
        own = evaluate_encoder(
            encoders[STUDENT].encoder,
            encoders[STUDENT].views,
            train,
            test,
            labels_per_class=counts,
            seeds=seeds,
            protocols=(FROZEN, UNTRAINED),
            make_encoder=student.build_encoder,
            device=device_name(),
            channels_last=True,
            progress=report,
        )
        trials = renamed(own["trials"], {FROZEN: STUDENT, UNTRAINED: UNTRAINED})
        for name, encoder in encoders.items():
            if name != STUDENT:
                trials += frozen_trials(
                    name,
                    encoder,
                    train,
                    test,
                    labels_per_class=counts,
                    seeds=seeds,
                    compute=compute,
                    progress=report,
                )
    others = [name for name in (TEACHER, ALONE, UNTRAINED) if name in encoders or name == UNTRAINED]
    return Comparison(summarize(trials), paired_differences(trials, [(STUDENT, name) for name in others]), own)


def measured_rows(
    encoders: Mapping[str, MeasuredEncoder], comparison: Comparison, source: Source
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each encoder, the untrained one too where its accuracy is known; and what people should know."""
    compute = ComputeSettings(torch.device(device_name()), channels_last=True)
    pair = {name: encoders[name] for name in (TEACHER, STUDENT)}  # the others have the architecture of the student
    speeds = samples_per_second(pair, source, compute)
    untrained = {UNTRAINED: encoders[STUDENT]} if comparison.summary else {}
    rows: list[dict[str, Any]] = []
    for name, (encoder, _) in {**encoders, **untrained}.items():
        rows.append(
            {
                "name": name,
                "encoder": encoder_name(encoder.encoder if isinstance(encoder, Tower) else encoder),
                "parameters": parameters_of(encoder),
                "megabytes": round(bytes_of(encoder) / 1e6, 3),
                "samples_per_second": round(speeds[TEACHER if name == TEACHER else STUDENT], 1),
                "dim": encoder.dim,
                "accuracy": {
                    row["labels_per_class"]: {key: row[key] for key in ("mean", "low", "high", "seeds")}
                    for row in comparison.summary
                    if row["protocol"] == name
                },
            }
        )
    taught, student = rows[0]["parameters"], rows[1]["parameters"]
    larger = student >= taught
    notes = [f"the student is no smaller than its teacher: {student:,} against {taught:,} parameters"] if larger else []
    return rows, notes
