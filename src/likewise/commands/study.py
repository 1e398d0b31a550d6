"""`likewise study`: pretrain, evaluate, report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.checks import check_int, check_positive
from likewise.commands.caching import caching
from likewise.commands.evaluate import evaluate, seeds_of
from likewise.commands.option_names import flag
from likewise.commands.pretrain import PARAMETERS, pretrain
from likewise.commands.report import write_report
from likewise.console import count_of, each_note_once, tell
from likewise.errors import Interrupted, UserError
from likewise.modalities.run import Run
from likewise.runs.evaluation import Evaluation

if TYPE_CHECKING:
    from likewise.commands.planned import TrainingPlan

USUAL_MINUTES = 20.0
TRAINING_SHARE = 2 / 3
SHORTEST = 1e-3  # minutes, of what a training has left nothing to


@caching
def study(
    data: Any,
    *,
    minutes: float | None = None,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
    seeds: int | None = None,
    task: Literal["segmentation", "detection"] | None = None,
    protocols: Sequence[str] | None = None,
    steps: int | None = None,
    transcripts: str | Path | None = None,
    labelled: Sequence[int | Literal["all"]] | None = None,
    tile: int | None = None,
    resume: bool = False,
    root: str | Path | None = None,
    progress: bool = True,
    **training: Any,
) -> Evaluation | Run | TrainingPlan:
    """Pretrain on a data set, evaluate the encoder, and write the report.

    A named data set has the splits of its authors, a folder with train and test subfolders those. Of any other folder
    with a subfolder for each class, a fifth of each class is held out for the test, and the encoder is not trained on
    it. Pairs need no labels: a fifth of them is held out for retrieval. Other data without labels is pretrained on and
    reported, not evaluated.

    Args:
        data: what to learn from: see `likewise pretrain`.
        minutes: how long all may take: 20 if neither this nor epochs nor a recipe is given. Two thirds are for the
            training if there is something to evaluate with, and the evaluation is repeated until it is clear enough or
            the time is over.
        train: labelled data to draw labels from; the data's own if it has any.
        test: labelled data to measure the accuracy on.
        labels_per_class: numbers of labels of each class; `all` takes every label there is. Those of 1, 10 and 100 that
            there are, and all, if not given.
        seeds: repetitions of the evaluation, each with other labels; 5 if not given.
        task: segmentation: the evaluation is of classes of pixels, of images with masks; detection: of things, of
            images with boxes. A folder of these is learned from without masks and boxes.
        protocols: which protocols of the evaluation to compare; all if not given.
        steps: optimisation steps from scratch, half as many for fine-tuning; chosen by the number of labels if not
            given.
        transcripts: of recordings, the table (.csv …) that says what is said in which file; the error rates of speech
            recognition are measured in place of accuracies. --text-column is of this table.
        labelled: with transcripts, numbers of recordings to learn from, of a task of annotated images: see
            `likewise evaluate`.
        tile: of a task, the side in pixels of squares that each image is cut into: see `likewise evaluate`. What is
            learned without masks and boxes is learned from whole images.
        resume: continue an interrupted training of the same run folder.
        root: the folder with the files of a named data set.
        progress: show progress on stderr.
        training: anything that `likewise pretrain` takes, such as --method simclr --epochs 20 --out runs/mine.

    Returns:
        The evaluation, or the run where there are no labels. With --dry-run, the plan of the training.

    Raises:
        UserError: for an unknown or impossible value, or data that cannot be read; the message says what to do.
        Interrupted: when the training was asked to stop; it can be resumed.
    """
    from likewise.commands.annotated import (
        annotated_parts,
        check_annotated,
        check_task,
        check_task_tile,
        images_of,
    )
    from likewise.commands.annotated_tasks import TASKS
    from likewise.commands.options import (
        READ,
        READ_ONCE,
        SHAPE,
        applicable,
        check_read_options,
        command_line,
        open_train_and_test,
        read_options_of,
        recipe_of,
        shape_of,
        why_no_labels,
    )
    from likewise.commands.recognition import check_needless, check_transcripts
    from likewise.data.open import open_source
    from likewise.data.splits import has_own_splits, splits, unlabelled_test_note
    from likewise.distributed import is_first_process
    from likewise.evaluation import DEFAULT_PROTOCOLS
    from likewise.evaluation.evaluate_encoder import check_evaluation
    from likewise.evaluation.labels import label_counts
    from likewise.evaluation.recognition import check_protocols
    from likewise.modalities.lookup import adapt_read_options

    began = time.monotonic()
    check_positive(minutes=minutes)
    usual = minutes is None and training.get("epochs") is None and training.get("recipe") is None
    if usual:
        minutes = USUAL_MINUTES
    counts = None if labels_per_class is None else list(labels_per_class)
    measured = {"labels_per_class": counts, "seeds": seeds, "protocols": protocols, "steps": steps}
    spoken = {"task": task, "transcripts": transcripts, "labelled": labelled, "tile": tile}
    given = {"minutes": minutes, "train": train, "test": test, **measured, **spoken}
    command = command_line("study", data, {**given, "root": root, **training})
    text_column = None
    if task is not None:
        useless = ("label_column", "labels", "per_file", "columns", "text_column")
        others = {"labels_per_class": labels_per_class, "transcripts": transcripts, "root": root}
        check_task(task, training.get("modality"), others | {name: training.get(name) for name in useless})
    check_task_tile(task, tile)
    if transcripts is not None:
        needless = ("label_column", "labels", "per_file", "columns")
        check_needless(
            training.get("modality"),
            {"labels_per_class": labels_per_class, "root": root} | {name: training.get(name) for name in needless},
        )
        training = {**training, "modality": "audio"}
        text_column = training.pop("text_column", None)
        check_int(seeds=seeds, steps=steps)
        check_protocols(protocols, given=training.get("weights") is not None)
        check_transcripts(data if train is None else train, test, transcripts, text_column, progress)
    elif task is not None:
        training = {**training, "modality": "image"}
        learned_from = images_of(data)
        train, test = annotated_parts(data if train is None else train, test)
        check_annotated(
            TASKS[task],
            train,
            test,
            labelled=labelled,
            seeds=seeds,
            protocols=protocols,
            steps=steps,
            given=training.get("weights") is not None,
        )
    elif labelled is not None:
        raise UserError("--labelled applies to recordings with --transcripts and to --task: leave it out, or give one")
    named = {name: value for name, value in training.items() if value is not None}
    changes = {name: value for name, value in named.items() if name in ("method", *SHAPE) or name not in PARAMETERS}
    changes.pop("views", None)
    recipe = recipe_of(named.get("recipe"), changes, also=(*PARAMETERS, "minutes", "train", "test", *measured, *spoken))
    asked = {name: named[name] for name in READ if name in named}
    once = {name: named[name] for name in READ_ONCE if name in named}
    check_read_options({**asked, "root": root}, data, train, test, named.get("probe"))
    read_options = read_options_of(**asked, **once, method=recipe.method)
    by_labels = transcripts is None and task is None
    parts = splits(data, read_options) if task is None else {"pretrain": learned_from}
    if by_labels and train is None:
        train = parts.get("train")
    if by_labels and test is None:
        test = parts.get("test")
        for note in unlabelled_test_note(data, test):
            tell(note, show=progress)
    if train is not None and test is None and by_labels:
        raise UserError("--train needs --test: name labelled data to measure the accuracy on")
    needing = [name for name, value in measured.items() if value is not None]
    has_labels = False
    # Mistakes in these are reported before the training, not after it.
    if by_labels and train is not None and test is not None:
        as_parts = [adapt_read_options(read_options.with_(**shape_of(recipe)), part) for part in (train, test)]
        train_source, test_source = open_train_and_test(train, test, as_parts, root, progress)
        has_labels = train_source is not None and train_source.modality != "pair" and bool(train_source.classes)
        if has_labels:
            assert train_source is not None
            label_counts(train_source, test_source, labels_per_class, seeds=seeds_of(seeds, minutes))
            check_evaluation(protocols or DEFAULT_PROTOCOLS, steps, given=recipe.weights is not None)
    if needing and not has_labels and by_labels:
        source = open_source(parts.get("pretrain", data), root=root, read_options=read_options, progress=progress)
        raise UserError(f"{flag(needing[0])} applies to data with labels, but this has none: {why_no_labels(source)}")
    if usual:
        tell(
            f"budget: {count_of(USUAL_MINUTES, 'minute')}; --minutes gives more or less, --epochs any time",
            show=progress,
        )
    try:
        with each_note_once():
            learned = parts.get("pretrain", data)
            evaluated = test is not None or not by_labels
            how = applicable({**training, "root": root}, learned, named.get("probe"))
            if minutes is not None:
                how |= {"minutes": round(minutes * (TRAINING_SHARE if evaluated else 1), 3), "started": began}
            run = pretrain(learned, resume=resume, progress=progress, **how)
            if not isinstance(run, Run) or not is_first_process():
                return run  # the first process evaluates
            if not evaluated:
                source = open_source(learned, root=root, read_options=run.read_options, progress=progress)
                tell(why_no_labels(source))
                lack = f"{source.name} has no labels to evaluate with: name some"
                if has_own_splits(data):
                    lack = f"{data} must have labelled splits to train and to test on: name labelled data"
                tell(f"{lack} with --train and --test")
                tell(f"the page: {write_report(run)}", show=progress)
                return run
            reading = applicable({**asked, "root": root}, train, test)
            if not by_labels:
                reading = {"text_column": text_column}
            evaluation = evaluate(
                run,
                train=train,
                test=test,
                labels_per_class=labels_per_class,
                seeds=seeds,
                minutes=max(SHORTEST, minutes - (time.monotonic() - began) / 60) if minutes and has_labels else None,
                protocols=protocols,
                steps=steps,
                progress=progress,
                task=task,
                transcripts=transcripts,
                labelled=labelled,
                tile=tile,
                **reading,
            )
    except Interrupted as stopped:
        raise Interrupted(f"{str(stopped).partition(';')[0]}; to go on: {command} --resume") from None
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after the training; to go on: {command} --resume") from None
    tell(f"the page: {write_report(run)}", show=progress)
    if minutes is not None:
        used = (time.monotonic() - began) / 60
        tell(f"budget: {used:.1f} of {count_of(minutes, 'minute')} used in all", show=progress)
    return evaluation
