"""`likewise study`: pretrain, evaluate, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from likewise.commands.arguments import command_line, training_options
from likewise.commands.evaluate import evaluate
from likewise.commands.pretrain import pretrain
from likewise.commands.report import write_report
from likewise.console import tell
from likewise.errors import Interrupted
from likewise.modalities.run import Run
from likewise.runs.evaluation import Evaluation


def study(
    data: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
    seeds: int = 5,
    resume: bool = False,
    root: str | Path | None = None,
    progress: bool = True,
    **training: Any,
) -> Evaluation | Run:
    """The whole story of a data set: pretrain, evaluate, report.

    A named data set is split as its authors split it. A folder with train and test subfolders is split so; any other
    folder with a subfolder for each class has a fifth of each class held out for the test, and the encoder never sees
    it. Pairs need no labels: a fifth of them is held out, to be found. Other data without labels is pretrained and
    reported, not evaluated.

    Args:
        data: what to learn from: see `likewise pretrain`.
        train: labelled data to draw labels from; the data's own if it has any.
        test: labelled data to judge by.
        labels_per_class: how many labels; `all` takes every one there is. Those of 1, 10 and 100 that there are,
            and all, if not given.
        seeds: repetitions of the evaluation, each with labels drawn anew.
        resume: go on with an interrupted training of the same run folder.
        root: where the files of a named data set lie.
        progress: show progress on stderr.
        training: anything that `likewise pretrain` takes, such as --method simclr --epochs 20 --out runs/mine.

    Returns:
        The evaluation, or the run where there are no labels.
    """
    from likewise.commands.evaluation import label_counts
    from likewise.commands.options import READ, SHAPE, judging, read_options_of, recipe_of, shape_of
    from likewise.data.open import pairs_or_halves, splits

    training = training_options(training)
    counts = None if labels_per_class is None else list(labels_per_class)
    options = {"train": train, "test": test, "labels_per_class": counts, "seeds": seeds, "root": root, **training}
    command = command_line("study", data, options)
    shapes = {name: training[name] for name in SHAPE if training.get(name) is not None}
    asked = {"method": training["method"]} if training.get("method") else {}
    recipe = recipe_of(training.get("recipe"), asked | shapes)
    said = {name: training.get(name) for name in READ}
    read_options = read_options_of(**said, method=recipe.method)
    parts = splits(data, read_options)
    train = parts.get("train") if train is None else train
    test = parts.get("test") if test is None else test
    if train is not None and test is not None:  # a mistake in these shall not wait for the end of the training
        as_parts = [pairs_or_halves(read_options.with_(**shape_of(recipe)), part) for part in (train, test)]
        teaching, tested = judging(train, test, as_parts, root, progress)
        if teaching is not None and teaching.modality != "pair" and teaching.classes:
            label_counts(teaching, tested, labels_per_class, seeds)
    try:
        run = pretrain(parts.get("pretrain", data), root=root, resume=resume, progress=progress, **training)
        if test is None:
            tell(f"{run.config['source']['name']} has no labels to evaluate with: name some with --train and --test")
            tell(f"the page: {write_report(run)}", show=progress)
            return run
        evaluation = evaluate(
            run,
            train=train,
            test=test,
            labels_per_class=labels_per_class,
            seeds=seeds,
            root=root,
            progress=progress,
            **{name: training[name] for name in READ if name in training},
        )
    except Interrupted as stopped:
        raise Interrupted(f"{str(stopped).partition(';')[0]}; to go on: {command} --resume") from None
    except KeyboardInterrupt:
        raise Interrupted(f"stopped after the training; to go on: {command} --resume") from None
    tell(f"the page: {write_report(run)}", show=progress)
    return evaluation
