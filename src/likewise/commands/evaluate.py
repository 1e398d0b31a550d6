"""`likewise evaluate`: what an encoder is worth with few labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from likewise.atomic import disk_trouble
from likewise.checks import check_positive
from likewise.commands import FromPython
from likewise.commands.caching import caching
from likewise.commands.option_names import flag
from likewise.console import count_of, tell, tell_notes
from likewise.errors import UserError
from likewise.runs.evaluation import Evaluation
from likewise.runs.skipped import Skipped

SKIPPED = "evaluation.skipped.csv"  # in the run folder


@caching
def evaluate(
    run: Any,
    *,
    train: Any = None,
    test: Any = None,
    labels_per_class: Sequence[int | Literal["all"]] | None = None,
    seeds: int | None = None,
    minutes: float | None = None,
    task: Literal["segmentation", "detection"] | None = None,
    protocols: Sequence[str] | None = None,
    steps: int | None = None,
    way: int | None = None,
    shot: Sequence[int] | None = None,
    query: int | None = None,
    episodes: int | None = None,
    modality: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    labels: str | Path | None = None,
    transcripts: str | Path | None = None,
    labelled: Sequence[int | Literal["all"]] | None = None,
    tile: int | None = None,
    per_file: bool = False,
    columns: Sequence[str] | None = None,
    size: int | None = None,
    out: str | Path | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    encoder: FromPython = None,
    make_encoder: FromPython = None,
    views: FromPython = None,
    progress: bool = True,
) -> Evaluation:
    """Measure what an encoder is worth with few labels, against training from scratch and raw features.

    What needs no labels is measured too: retrieval among pairs and of parts of a recording, the perplexity of a
    language model. Of recordings with --transcripts, the character and word error rates of speech recognition are
    measured in place of accuracies. With --protocols few-shot, accuracies in episodes of classes that the encoder has
    not learned from.
    With --task segmentation, how well classes of pixels are predicted after learning from few annotated images; with
    --task detection, how well boxes of things are found.

    Args:
        run: a finished run, or its folder; or known weights as they are: timm:NAME of images, hf:FOLDER.
        train: labelled data to draw the labels from; the run's own data set if it has labels. With transcripts, the
            recordings; of a --task, annotated images. A fifth of either is held out if no test data
            is given.
        test: labelled data to measure the accuracy on; no setting is selected on it. For few-shot episodes, data of
            other classes than those of the training, such as photos:novel after a training on photos:base.
        labels_per_class: numbers of labels of each class; `all` takes every label there is. Those of 1, 10 and 100 that
            there are, and all, if not given.
        seeds: repetitions, each with other labels; 5 if not given, 3 with `minutes`, transcripts or a task.
        minutes: repetitions are added until the interval of frozen − scratch, with about 10 labels per class, is
            narrower than 2 points, or these minutes are over.
        task: of annotated images, in place of labels of whole images: segmentation, of classes of pixels (masks), or
            detection, of things (boxes); see the guides.
        protocols: which protocols to compare; all if not given. With transcripts: scratch, frozen, fine-tuned,
            as-given, untrained, raw-ctc; of detection these but for raw-ctc, of segmentation also frozen-decoder,
            frozen-knn and raw-logistic. few-shot, which stands alone: episodes of new classes, on frozen features.
        steps: optimisation steps from scratch, half as many for fine-tuning; chosen by the number of labels if not
            given. With transcripts also of the heads on frozen encoders.
        way: of few-shot episodes, the number of classes; 5 if not given.
        shot: of few-shot episodes, labelled samples of each class, one number or several; 1 and 5 if not given.
        query: of few-shot episodes, samples of each class to classify; 15 if not given.
        episodes: of few-shot, how many are drawn; 600 if not given.
        modality: image, text, audio or pair, where the data could be several things.
        text_column: of a table, the column of texts; if not given, one with a usual name or the only one of texts. Of a
            table of transcripts, the column of these (transcript, transcription, sentence, text …).
        label_column: of a table, the column of labels; a usual name (label, class, section …) if not given.
        labels: of a folder, the table (.csv …) that says which file has which label; if not given, metadata.csv in the
            folder, or else the subfolders.
        transcripts: of recordings, the table (.csv …) that says what is said in which file: metadata.csv of a folder,
            the table of the recordings itself, or another one.
        labelled: with transcripts, numbers of recordings to learn from; of a task, of annotated images. `all`
            takes every one. Those of 10 and 100 (1, 5 and 20 images) that there are, and all, if not given.
        tile: of a task, the side in pixels of squares that each image is cut into, where things are small in large
            images: the squares are learned from and tested on.
        per_file: a text file is one document, not one document a line.
        columns: of a table, the columns that form a pair, such as image text.
        size: of known weights of images, height and width in pixels; if not given the images' own, or those that
            hf:FOLDER says.
        out: of known weights, the run folder that they get; runs/DATA-WEIGHTS if not given.
        root: the folder with the files of a named data set.
        cache: where decoded images and recordings are kept: see `likewise pretrain`.
        encoder: from Python, the module that was trained, if it was your own.
        make_encoder: from Python, a function that builds that module untrained, if resetting its layers does not.
        views: from Python, the views that it was trained with, if they were your own.
        progress: show progress on stderr.

    Returns:
        A dict with every trial and its summary, printed as a table. It is also written to the run's evaluation.json;
        where that is impossible, a line on stderr says so, and the exit status is 2.

    Raises:
        UserError: for data without labels, more labels per class than any class has, transcripts that name no file of
            the data, or an option that has no effect.
    """
    import torch

    from likewise.commands.annotated import (
        IMAGES_AT_ONCE,
        check_task,
        check_task_tile,
        images_of,
        measured_annotated,
        open_annotated_parts,
        tell_annotated,
    )
    from likewise.commands.annotated_tasks import TASKS
    from likewise.commands.few_shot import episode_settings, few_shot_result, open_novel
    from likewise.commands.gallery import save_gallery
    from likewise.commands.given import names_weights, run_of_weights
    from likewise.commands.options import (
        applicable,
        as_run,
        check_read_options,
        command_line,
        has_seen,
        name_own_data,
        open_train_and_test,
        open_training_data,
        own_splits,
        read_options_for,
        read_options_of,
        skipped_note,
        split_of,
        untrained_builder,
    )
    from likewise.commands.recognition import check_spoken, open_spoken
    from likewise.data.audio import source_sample_rate
    from likewise.data.blocks import cut_notes
    from likewise.data.copies import copies_between, copies_note, copies_summary
    from likewise.data.splits import unlabelled_test_note
    from likewise.evaluation import DEFAULT_PROTOCOLS, ComputeSettings, evaluate_encoder
    from likewise.evaluation.labels import label_counts, shared_labels
    from likewise.evaluation.recognition import SEEDS, evaluate_recognition, recognition_notes
    from likewise.modalities.base import EvaluationInputs
    from likewise.modalities.build import adopt_for
    from likewise.modalities.lookup import modality_of
    from likewise.modalities.towers import encoder_for
    from likewise.modalities.weights import initial_encoder
    from likewise.registry import MODALITIES
    from likewise.report.headline import less_than_untrained
    from likewise.report.recognition_headline import more_errors_than_untrained
    from likewise.training.callbacks.progress import progress_bar
    from likewise.training.machine import MEASURED_SAMPLES, device_name, fastest_threads, threads_of

    check_positive(minutes=minutes)
    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
        "per_file": per_file or None,
        "columns": columns,
    }
    asked = read_options_of(modality, **reading)
    of_episodes = {"way": way, "shot": shot, "query": query, "episodes": episodes}
    needless = {"train": train, "labels_per_class": labels_per_class, "seeds": seeds, "minutes": minutes}
    if task is not None:
        useless = {"labels_per_class": labels_per_class, "minutes": minutes, "transcripts": transcripts, "root": root}
        check_task(task, modality, useless | of_episodes | reading)
    check_task_tile(task, tile)
    needless |= {"steps": steps, "transcripts": transcripts, "labelled": labelled}
    episode = episode_settings(protocols, of_episodes, needless)
    if names_weights(run) and task is not None:
        if train is None:
            raise UserError(f"{run} has no data of its own: name annotated images with --train")
        asked = read_options_of("image")
        like = images_of(train)
        run = run_of_weights(run, like, size=size, out=out, root=None, read_options=asked, progress=progress)
    elif names_weights(run):
        if transcripts is not None:
            raise UserError(f"--transcripts applies to runs that have learned from recordings, not to {run}")
        if test is None:
            raise UserError(f"{run} has no data of its own: name some with --test, and labelled data with --train")
        like = test if train is None else train
        run = run_of_weights(run, like, size=size, out=out, root=root, read_options=asked, progress=progress)
    elif size is not None or out is not None:
        name = "size" if size is not None else "out"
        raise UserError(f"{flag(name)} applies to known weights (timm:NAME, hf:FOLDER), not to a run: leave it out")
    run = as_run(run)
    views = views or run.views
    autocast = run.config["precision"] == "bf16-mixed"
    compute = ComputeSettings(torch.device(device_name()), autocast=autocast, channels_last=True)
    if task is not None:
        if train is None:
            name_own_data(run, None)
        its_task = TASKS[task]
        its_task.needs()
        annotated = open_annotated_parts(its_task, run, views, train, test, tile=tile, progress=progress)
        tell_annotated(annotated, str(run.path / SKIPPED), progress)
        if encoder is not None:
            run.load_encoder(adopt_for(encoder, views, annotated.train.source))
        with progress_bar(show=progress) as report:
            found = measured_annotated(
                its_task,
                run,
                run.encoder,
                views,
                untrained_builder(run, make_encoder, views, annotated.train.source),
                annotated,
                labelled=labelled,
                seeds=seeds,
                protocols=protocols,
                steps=steps,
                compute=dataclasses.replace(compute, batch_size=IMAGES_AT_ONCE),
                progress=report,
            )
        asked_for = {"task": task, "train": train, "test": test, "labelled": labelled, "seeds": seeds}
        asked_for |= {"protocols": protocols, "steps": steps, "tile": tile}
        found.result["command"] = command_line("evaluate", run.path, asked_for)
        evaluation = Evaluation(found.result)
        return _kept(evaluation, run, found.skipped, lambda: found.figures.save(run.path))
    if episode is not None:
        check_read_options({**reading, "root": root}, run.config["data"] if test is None else test)
        name_own_data(run, None if root else run.config["source"]["root"])
        root = root or run.config["source"]["root"]
        data = open_novel(run, test, episode, asked, root=root, progress=progress)
        tell_notes(data.source.notes, show=progress)
        if encoder is not None:
            run.load_encoder(adopt_for(encoder, views, data.source))
        with progress_bar(show=progress) as report:
            measured = few_shot_result(
                run,
                run.encoder,
                views,
                untrained_builder(run, make_encoder, views, data.source),
                data,
                episode,
                compute,
                report,
            )
        asked_for = {"protocols": protocols, "test": test, **of_episodes, "modality": modality}
        measured["command"] = command_line(
            "evaluate", run.path, asked_for | applicable({**reading, "root": root}, test)
        )
        measured["skipped"] = {"test": len(data.source.skipped)}
        return _kept(Evaluation(measured), run, Skipped(dict.fromkeys(data.source.skipped)))
    named, tested, spoken = (train, test), test, None
    if transcripts is not None:
        needless = {**reading, "text_column": None, "labels_per_class": labels_per_class, "minutes": minutes}
        check_spoken(run, modality, {**needless, "root": root})
        if train is None:
            name_own_data(run, None)
        spoken = open_spoken(run, transcripts, train, test, text_column=text_column, progress=progress)
        train, test, tested = spoken.train.source, spoken.test.source, spoken.tested
        reading["text_column"] = None  # it was that of the transcripts
        asked = read_options_of(modality, **reading)
    elif labelled is not None:
        raise UserError("--labelled applies to recordings with --transcripts and to --task: leave it out, or give one")
    no_labels: UserError | None = None
    reads_own = train is None or test is None
    if reads_own:
        if run.config["data"] is not None:
            check_read_options({**reading, "root": root}, run.config["data"], train, test)
        name_own_data(run, None if root else run.config["source"]["root"])
        try:
            own_train, own_test = own_splits(run, asked, root or run.config["source"]["root"])
        except UserError as error:
            if test is None:
                raise
            no_labels = error  # some measurements need no labels
        else:
            train, test = own_train if train is None else train, own_test if test is None else test
    check_read_options({**reading, "root": root}, train, test)
    for note in unlabelled_test_note(run.config["data"] and split_of(run.config["data"])[0], test) if reads_own else []:
        tell(note, show=progress)
    root = root or run.config["source"]["root"]
    read_options = [read_options_for(run, asked, data) for data in (train, test)]
    train_source, test_source = open_train_and_test(train, test, read_options, root, progress)
    said = [*(train_source.notes if train_source else []), *test_source.notes, *(spoken.notes if spoken else [])]
    tell_notes(said, show=progress)
    for source in filter(None, (train_source, test_source)):
        if left_out := skipped_note(source, str(run.path / SKIPPED)):
            tell(f"{source.name}: {count_of(len(source), 'sample')}{left_out}", show=progress)
    if encoder is not None:
        run.load_encoder(adopt_for(encoder, views, test_source))
    network = run.encoder
    build = untrained_builder(run, make_encoder, views, test_source)
    given = initial_encoder(run)
    tower, its_views = encoder_for(test_source.modality, network, views)

    # The label of a pair says nothing about either half.
    single = "pair" not in (test_source.modality, train_source.modality if train_source else None)
    has_labels = single and train_source is not None and bool(train_source.classes) and bool(test_source.classes)
    has_labels = has_labels and spoken is None
    known = test_source.modality in MODALITIES and run.modality in MODALITIES
    result: dict[str, Any] = {"test": test_source.name, "samples": {"test": len(test_source)}}
    needing = {
        "labels_per_class": labels_per_class,
        "seeds": seeds,
        "minutes": minutes,
        "protocols": protocols,
        "steps": steps,
    }
    chosen = [name for name, value in needing.items() if value is not None]
    if chosen and not has_labels and spoken is None:
        if train_source is not None and single:
            shared_labels(train_source, test_source)  # says what is missing
        what = f"{test_source.name} is pairs" if not single else f"{test_source.name} is evaluated without labels"
        raise no_labels or UserError(f"{flag(chosen[0])} applies to samples with labels, but {what}: leave it out")
    some = test_source.read(torch.arange(min(MEASURED_SAMPLES, len(test_source))))

    def encode_some() -> None:
        with torch.inference_mode():
            compute.forward(tower, its_views.clean(some))

    tables = []
    with progress_bar(show=progress) as report, threads_of(fastest_threads(encode_some)):
        if has_labels:
            assert train_source is not None
            seeds = seeds_of(seeds, minutes)
            result = evaluate_encoder(
                tower,
                its_views,
                train_source,
                test_source,
                make_encoder=build and (lambda: encoder_for(test_source.modality, build(), views)[0]),
                labels_per_class=label_counts(train_source, test_source, labels_per_class, seeds=seeds),
                seeds=seeds,
                protocols=protocols or DEFAULT_PROTOCOLS,
                steps=steps,
                given=given and encoder_for(test_source.modality, given, views)[0],
                raw=modality_of(test_source.modality).baseline(its_views, compute, train_source) if known else None,
                device=device_name(),
                autocast=autocast,
                channels_last=True,
                progress=report,
                minutes=minutes,
            )
        if spoken is not None:
            recognition = evaluate_recognition(
                tower,
                spoken.train,
                spoken.test,
                sample_rate=source_sample_rate(test_source),
                labelled=labelled,
                seeds=SEEDS if seeds is None else seeds,
                protocols=protocols,
                steps=steps,
                make_encoder=build and (lambda: encoder_for(test_source.modality, build(), views)[0]),
                given=given and encoder_for(test_source.modality, given, views)[0],
                compute=compute,
                progress=report,
            )
            result = {
                "train": spoken.train.source.name,
                "test": test_source.name,
                "samples": {"train": len(spoken.train.source), "test": len(test_source)},
                "notes": recognition_notes(recognition),
                "recognition": recognition | {"left_out": [*spoken.left_out, *recognition["left_out"]]},
            }
        if known:
            learned = open_training_data(run, root, progress) if train_source is None else train_source
            on_device = compute.place(network).eval()
            inputs = EvaluationInputs(on_device, views, learned, test_source, build, compute, run.path)
            tables = [table.as_dict() for table in modality_of(run.modality).measure(inputs)]
    if tables:
        result["tables"] = tables
    if not has_labels and spoken is None:
        if not tables and train_source is not None and single:
            shared_labels(train_source, test_source)  # says what is missing
        if not tables:
            raise no_labels or UserError(
                f"{test_source.name} has no labels, and there is nothing else to measure the encoder by: name labelled "
                "data with --train and --test"
            )
    notes: list[str] = result.get("notes", [])
    if has_labels or not single:  # a language model is measured on whole documents
        notes = [*notes, *cut_notes(*([train_source] if train_source else []), test_source)]
    copies = [] if train_source is None else copies_between(train_source, test_source)
    if copies and train_source is not None:
        result["copies"] = copies_summary(copies)
        notes = [*notes, *copies_note(copies, train_source, test_source)]
    if has_seen(run, tested):
        notes = [*notes, f"The encoder has learned from samples of {test_source.name}, without their labels."]
    if notes:
        result["notes"] = notes
    heard = Evaluation(result).recognition
    if worse := more_errors_than_untrained(heard) if heard else has_labels and less_than_untrained(Evaluation(result)):
        result["notes"] = [*result.get("notes", []), worse]
    options: dict[str, Any] = {"train": named[0], "test": named[1]} if spoken else {"train": train, "test": test}
    options |= {"transcripts": transcripts, "text_column": text_column} if spoken else {}
    options |= {"labels_per_class": result.get("labels_per_class"), "labelled": heard and heard["labelled"]}
    options |= {
        "seeds": heard["seeds"] if heard else result.get("seeds"),
        "protocols": protocols,
        "steps": steps,
        "modality": modality,
    }
    options |= applicable({**reading, "root": root}, train, test)
    result["command"] = command_line("evaluate", run.path, options)
    result["skipped"] = {
        role: len(source.skipped) for role, source in (("train", train_source), ("test", test_source)) if source
    }
    skipped = Skipped(dict.fromkeys([*(train_source.skipped if train_source else []), *test_source.skipped]))
    has_classes = spoken is None and bool(test_source.classes)
    return _kept(
        Evaluation(result),
        run,
        skipped,
        lambda: save_gallery(run, network, test_source, views, labelled=has_classes),
    )


def _kept(
    evaluation: Evaluation, run: Any, skipped: Skipped, save_more: Callable[[], None] = lambda: None
) -> Evaluation:
    """The evaluation, written into the run folder; where that is impossible, it says so and is incomplete."""
    try:
        evaluation.save(run.path)
        if skipped or (run.path / SKIPPED).is_file():
            skipped.write(run.path / SKIPPED)
        save_more()
    except OSError as error:
        if (reason := disk_trouble(error)) is None:
            raise
        tell(f"likewise: could not write into {run.path}: {reason}; the result is not kept")
        evaluation.incomplete = True
    return evaluation


def seeds_of(seeds: int | None, minutes: float | None) -> int:
    """How many repetitions an evaluation has, at least, where nobody says: fewer where time decides."""
    return seeds if seeds is not None else 5 if minutes is None else 3
