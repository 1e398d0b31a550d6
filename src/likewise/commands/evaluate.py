"""`likewise evaluate`: what an encoder is worth with few labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from likewise.commands.arguments import FromPython, command_line, opened
from likewise.errors import UserError
from likewise.runs.evaluation import Evaluation


def evaluate(
    run: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
    seeds: int = 5,
    protocols: Sequence[str] | None = None,
    steps: int | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    root: str | Path | None = None,
    encoder: FromPython = None,
    make_encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Evaluation:
    """Prove with few labels what an encoder is worth: from scratch, frozen and fine-tuned, side by side.

    What can be measured without labels is measured too: retrieval among pairs and of parts of a recording, the
    perplexity of a language model.

    Args:
        run: a finished run, or its folder.
        train: labelled data to draw the labels from; the run's own data set if it has labels.
        test: labelled data to judge by; it chooses nothing.
        labels_per_class: how many labels; `all` takes every one there is. Those of 1, 10 and 100 that there are,
            and all, if not given.
        seeds: repetitions, each with labels drawn anew.
        protocols: which ways to compare; all if not given.
        steps: optimisation steps from scratch, half as many for fine-tuning; by the number of labels if not given.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, that with the texts; a usual name, or the only one with texts, if not given.
        label_column: of a table, that with the labels; a usual name (label, class, section …) if not given.
        per_file: a text file is one document, not one a line.
        columns: of a table, those that belong together as a pair, such as image text.
        root: where the files of a named data set lie.
        encoder: from Python, the module that was trained, if it was your own.
        make_encoder: from Python, what builds that module anew, if resetting its layers does not.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        A dict with every trial and its summary, printed as a table; it is also the run's evaluation.json.

    Raises:
        UserError: for data without labels, more labels per class than there are, and the like.
    """
    from likewise.commands.evaluation import Judged, evaluate_on
    from likewise.commands.options import has_seen, judging, learned_from, own_splits, read_options_for, read_options_of
    from likewise.commands.training import adopted, save_gallery

    run = opened(run)
    views = views or run.views
    root = root or run.config["source"]["root"]
    said = read_options_of(modality, text_column, label_column, per_file, columns)
    unlabelled: UserError | None = None
    if train is None or test is None:
        try:
            own = own_splits(run)
        except UserError as error:
            if test is None:
                raise
            unlabelled = error  # some tests need no labels
        else:
            train, test = own[0] if train is None else train, own[1] if test is None else test
    read_options = [read_options_for(run, said, data) for data in (train, test)]
    train_source, test_source = judging(train, test, read_options, root, progress)
    if encoder is not None:
        run.load_encoder(adopted(encoder, views, test_source))
    network = run.encoder
    build = make_encoder or (run.build_encoder if run.config["encoder"] else None)
    result = evaluate_on(
        Judged(network, views, build, run.modality),
        train_source,
        test_source,
        folder=run.path,
        learned=learned_from(run, root, progress) if train_source is None else train_source,
        labels_per_class=labels_per_class,
        seeds=seeds,
        protocols=protocols,
        steps=steps,
        autocast=run.config["precision"] == "bf16-mixed",
        unlabelled=unlabelled,
        progress=progress,
    )
    if has_seen(run, test):
        result["notes"] = [f"The encoder has learned from samples of {test_source.name}, without their labels."]
    counts = result.get("labels_per_class")
    options: dict[str, Any] = {
        "train": train,
        "test": test,
        "labels_per_class": counts,
        "seeds": seeds,
        "protocols": protocols,
    }
    options |= {"steps": steps, "modality": modality, "text_column": text_column, "label_column": label_column}
    options |= {"per_file": per_file, "columns": columns, "root": root}
    result["command"] = command_line("evaluate", run.path, options)
    result["skipped"] = {
        role: len(source.skipped) for role, source in (("train", train_source), ("test", test_source)) if source
    }
    evaluation = Evaluation(result)
    evaluation.save(run.path)
    save_gallery(run, network, test_source, views, labelled=bool(test_source.classes))
    return evaluation
