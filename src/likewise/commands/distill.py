"""`likewise distill`: a small encoder learns the embeddings of a trained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.atomic import telling_of_the_disk
from likewise.checks import check_int, check_positive, check_seed
from likewise.commands.evaluate import seeds_of
from likewise.commands.pretrain import pretrain
from likewise.console import count_of, plain, tell
from likewise.errors import Interrupted, UserError
from likewise.modalities.run import Run
from likewise.runs.counts import nearest_to_typical
from likewise.runs.evaluation import Evaluation
from likewise.runs.evaluation_table import accuracy, figures, points
from likewise.runs.table import Table

if TYPE_CHECKING:
    from likewise.data.source import Source

SPEED = "samples/s: of the network alone, 64 at a time on this machine"
SHARE = 0.5
"""Part of the minutes that the student has where the same encoder is also trained alone."""


@dataclass(frozen=True, repr=False)
class Distilled:
    """A student beside its teacher, the same small encoder trained alone, and an untrained one."""

    run: str
    """Of the student."""
    teacher: str
    alone: str | None
    """The run of the small encoder trained alone."""
    encoders: list[dict[str, Any]]
    """Of each: name, encoder, parameters, megabytes, samples_per_second, dim, and accuracy: by the number of labels per
    class, mean, low, high and seeds."""
    differences: list[dict[str, Any]]
    """How much more accurate the student is: versus, labels_per_class, mean, low, high, seeds; paired."""
    train: str | None
    test: str | None
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Distilled(run={self.run!r}, teacher={self.teacher!r})"

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def counts(self) -> list[int | str]:
        """Labels per class of the accuracies."""
        return list(self.encoders[0]["accuracy"])

    def table(self) -> Table:
        """As the terminal and the page show it."""
        heads = [count_of(n, "label") if isinstance(n, int) else "all labels" for n in self.counts]
        rows: list[list[str | float | None]] = []
        for row in self.encoders:
            found = [row["accuracy"].get(count) for count in self.counts]
            cells = [None if each is None else accuracy(each) for each in found]
            rows.append(
                [row["name"], row["encoder"], row["parameters"], row["megabytes"], row["samples_per_second"], *cells]
            )
        of = f"accuracy in % on {self.test} with labels of {self.train}, frozen features; " if self.counts else ""
        return Table(
            "distillation",
            f"{of}{SPEED}",
            ["", "encoder", "parameters", "MB", "samples/s", *heads],
            [""] * (5 + len(heads)),
            rows,
        )

    def lines(self) -> list[str]:
        """The differences in sentences, with the typical number of labels."""
        if not self.counts:
            return []
        count = nearest_to_typical(self.counts)
        labels = count_of(count, "label") if isinstance(count, int) else f"{count} labels"
        return [
            f"student − {row['versus']}: {points(row)} points with {labels} per class"
            for row in self.differences
            if row["labels_per_class"] == count
        ]

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group(figures(self.table().as_dict()), *map(plain, [*self.lines(), *self.notes, f"the run: {self.run}"]))


def distill(
    run: Any,
    *,
    encoder: str,
    data: Any = None,
    epochs: int | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    augment: str | None = None,
    alone: bool = True,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
    seeds: int | None = None,
    size: int | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    root: str | Path | None = None,
    precision: str = "auto",
    threads: int | str = "auto",
    progress: bool = True,
) -> Distilled:
    """Train a small encoder, the student, on the embeddings that the encoder of a run, the teacher, gives data.

    The data needs no labels. The student is a run as any other. It is shown beside its teacher, the same encoder
    trained alone by the teacher's recipe, and an untrained one; with labels also by their accuracy with few of them.

    Args:
        run: a finished run, or its folder: the teacher; or known weights as they are: timm:NAME of images, hf:FOLDER.
            Of a run on pairs, the half that `modality` says.
        encoder: the student's, a name as `likewise pretrain` takes it, such as resnet8, bert-tiny or mel-resnet8.
        data: what to learn from: see `likewise pretrain`; what the teacher has learned from if not given.
        epochs: passes over the data; the recipe's if not given.
        minutes: how long the trainings may take: half of it the student's, half that alone.
        batch_size: samples a step; chosen for the machine if not given.
        lr: learning rate at the top of its schedule; the recipe's if not given.
        augment: strong, mild or none; of images also photo, photo-mild, symbol or symbol-mild.
        alone: whether the same encoder is also trained without the teacher, by the teacher's recipe and for as long.
        train: labelled data to draw the labels from; the data's own if it has some and held a part out.
        test: labelled data to measure the accuracy on.
        labels_per_class: numbers of labels of each class; `all` takes every label there is. Those of 1, 10 and 100 that
            there are, and all, if not given.
        seeds: repetitions, each with other labels; 5 if not given.
        size: of known weights of images, height and width in pixels; if not given the images' own, or those that
            hf:FOLDER says.
        modality: image, text or audio, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts.
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        seed: of every random choice.
        out: the run folder of the student; runs/DATA-distill if not given. That of the encoder alone ends in -alone.
        resume: continue an interrupted training of the same run folder.
        root: the folder with the files of a named data set.
        precision: 32-true, bf16-mixed, 16-mixed, or auto: the faster of the first two, by measuring.
        threads: of a CPU: how many, or auto.
        progress: show progress on stderr.

    Returns:
        The student beside the others, printed as a table: `run` is its folder.

    Raises:
        UserError: for a run that is not finished, data that its encoder does not take, or an unknown encoder.
        Interrupted: when the training was asked to stop; it can be resumed.
    """
    from likewise.commands.distilled import (
        ALONE,
        STUDENT,
        TEACHER,
        alone_recipe,
        check_counts,
        evaluated,
        held_out_data,
        measured_rows,
        named_data,
        seen_notes,
        teacher_of,
        training_values,
    )
    from likewise.commands.options import command_line
    from likewise.distributed import is_first_process
    from likewise.evaluation.side_by_side import MeasuredEncoder
    from likewise.modalities.teacher import encoder_of

    check_positive(minutes=minutes)
    check_int(seeds=seeds, size=size)
    check_seed(seed)
    if (train is None) != (test is None):
        raise UserError("--train and --test need each other: name labelled data for both, or none")
    if not isinstance(encoder, str):
        raise UserError(f"encoder must be a name, such as resnet8, got {type(encoder).__name__}")
    options: dict[str, Any] = {
        "encoder": encoder,
        "data": data,
        "epochs": epochs,
        "minutes": minutes,
        "batch_size": batch_size,
        "lr": lr,
        "augment": augment,
        "alone": None if alone else False,
        "train": train,
        "test": test,
        "labels_per_class": labels_per_class,
        "seeds": seeds,
        "size": size,
        "seed": seed or None,
        "out": out,
        "root": root,
    }
    given = {
        "modality": modality,
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
        "per_file": per_file or None,
        "columns": columns,
    }
    command = command_line("distill", run.path if isinstance(run, Run) else run, options | given)
    teacher, source = teacher_of(run, data, given, size=size, root=root, progress=progress)
    taught, its_views = encoder_of(teacher, source)
    learned = teacher.config["data"] if data is None else data
    values = training_values(teacher, source, its_views, learned, given, encoder=encoder, root=root)
    how: dict[str, Any] = {
        **values,
        "encoder": encoder,
        "batch_size": batch_size,
        "seed": seed,
        "resume": resume,
        "precision": precision,
        "threads": threads,
        "progress": progress,
    }
    labelled = None
    if train is not None:  # mistakes in these are reported before the training, not after it
        labelled = named_data(teacher, train, test, given, root=root, progress=progress)
        check_counts(labelled, labels_per_class, seeds_of(seeds, None))
    share = None if minutes is None else minutes * (SHARE if alone else 1)
    try:
        student = pretrain(
            learned,
            method="distill",
            teacher=str(teacher.path.resolve()),
            epochs=epochs,
            minutes=share,
            augment=augment,
            lr=lr,
            out=out,
            **how,
        )
        assert isinstance(student, Run)
        by_itself: Run | None = None
        if alone:
            place = Path(f"{student.path}-{ALONE}")
            tell(f"the same encoder, trained alone: {place}", show=progress)
            recipe = alone_recipe(teacher, student, source)
            lasting: dict[str, Any] = (
                {"epochs": student.config["recipe"]["epochs"]} if minutes is None else {"minutes": share}
            )
            trained = pretrain(learned, recipe=str(recipe), out=place, **lasting, **how)
            assert isinstance(trained, Run)
            by_itself = trained
        if not is_first_process():
            return Distilled(str(student.path), str(teacher.path), None, [], [], None, None)
        encoders = {
            TEACHER: MeasuredEncoder(taught, its_views),
            STUDENT: MeasuredEncoder(student.encoder, student.views),
        }
        if by_itself is not None:
            encoders[ALONE] = MeasuredEncoder(by_itself.encoder, by_itself.views)
        if labelled is None:
            labelled = held_out_data(student, given, root=values["root"], progress=progress)
        result = evaluated(
            encoders,
            student,
            labelled,
            labels_per_class=labels_per_class,
            seeds=seeds_of(seeds, None),
            progress=progress,
        )
    except Interrupted as stopped:
        raise Interrupted(f"{str(stopped).partition(';')[0]}; to go on: {command} --resume") from None
    rows, notes = measured_rows(encoders, result, source)
    found = Distilled(
        str(student.path),
        str(teacher.path),
        None if by_itself is None else str(by_itself.path),
        rows,
        result.differences,
        None if labelled.train is None else labelled.train.name,
        None if labelled.test is None else labelled.test.name,
        [*labelled.notes, *([] if test is None else seen_notes((student, teacher), test)), *notes],
    )
    keep(found, result.evaluation, student, source, command)
    return found


def keep(found: Distilled, evaluation: dict[str, Any], student: Run, source: Source, command: str) -> None:
    """Write the table into the student's evaluation.json, so that its page shows it."""
    result = {"test": source.name, "samples": {"test": len(source)}} | evaluation
    result["notes"] = [*result.get("notes", []), *found.lines(), *found.notes]
    result["tables"] = [found.table().as_dict()]
    result["command"] = command
    with telling_of_the_disk(student.path):
        Evaluation(result).save(student.path)
