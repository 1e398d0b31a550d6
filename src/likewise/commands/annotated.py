"""Annotated images for `likewise evaluate` and `study`: what to learn from, what to test on, and the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from likewise.checks import check_choice, check_int
from likewise.commands.annotated_tasks import TASKS, AnnotatedTask, task_classes
from likewise.commands.option_names import flag
from likewise.commands.options import has_seen, reopenable, split_of
from likewise.console import count_of, tell, tell_notes
from likewise.data.annotations.layout import IMAGES, layout_parts
from likewise.data.annotations.read import layout_of, read_annotations
from likewise.data.annotations.source import AnnotatedImages, open_annotated
from likewise.data.copies import copies_between, copies_note, copies_summary
from likewise.data.source import Subset
from likewise.data.split_folders import TESTS, role_of
from likewise.data.splits import hold_out
from likewise.data.tiling import check_tile
from likewise.errors import UserError
from likewise.evaluation.annotated import SEEDS, AnnotatedData, image_counts
from likewise.evaluation.annotated_tables import as_hex
from likewise.evaluation.inputs import ComputeSettings, LabelCount, Progress
from likewise.modalities.encoding import known_modalities
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for
from likewise.modalities.weights import initial_encoder
from likewise.runs.figures import Figures
from likewise.runs.skipped import Skipped

IMAGES_AT_ONCE = 32
"""Whose maps, of all sizes, are in memory together."""


class AnnotatedParts(NamedTuple):
    """Annotated images to learn from and to test on, and what people should know of them."""

    train: AnnotatedData
    test: AnnotatedData
    classes: list[str]
    tested: Any
    """The data argument that the test images are of."""
    notes: list[str]


def tell_annotated(data: AnnotatedParts, listing: str, progress: bool) -> None:
    """Say what was understood, and how much was left out."""
    for source in dict.fromkeys((data.train.source, data.test.source)):
        tell_annotated_source(source, listing, progress)
    tell_notes(data.notes, show=progress)


def tell_annotated_source(source: AnnotatedImages, listing: str, progress: bool) -> None:
    """Say what was understood of one, and how much was left out."""
    tell_notes(source.notes, show=progress)
    if source.skipped:
        left_out = count_of(len(source.skipped), "image or annotation", "images and annotations")
        tell(f"{source.name}: {left_out} left out (see {listing})", show=progress)


class AnnotatedMeasured(NamedTuple):
    """What an evaluation found, for the run folder."""

    result: dict[str, Any]
    skipped: Skipped
    figures: Figures


def check_task(task: str, modality: str | None, needless: dict[str, Any]) -> None:
    """Raise `UserError` for an unknown task, or an option that it has no use for.

    Args:
        task: that is asked for.
        modality: likewise.
        needless: values of such options by name; those that are None or False are not given.
    """
    check_choice(TASKS, task=task)
    if modality not in (None, "image"):
        raise UserError(f"modality must be image with --task {task}, got {modality!r}")
    for name, value in needless.items():
        if value is not None and value is not False:
            instead = "give --labelled" if name == "labels_per_class" else "leave it out"
            raise UserError(f"{flag(name)} has no effect with --task {task}: {instead}")


def check_task_tile(task: str | None, tile: Any) -> None:
    """Raise `UserError` for tiles of anything but annotated images, or an impossible side."""
    if tile is not None and task not in TASKS:
        raise UserError(f"--tile applies to --task {' and '.join(TASKS)}: leave it out, or give one of these")
    check_tile(tile)


def annotated_parts(train: Any, test: Any) -> tuple[Any, Any]:
    """The annotated images to learn from and to test on; (data, None) where a test part must be held out.

    Without a test part, a folder with parts `train` and `test` or `val` gives these.
    """
    if test is not None or not isinstance(train, str | Path):
        return train, test
    base, split = split_of(str(train))
    folder = Path(base).expanduser()
    if split:
        below = layout_parts(folder)
        return (train, _test_of(base, below)) if role_of(split) == "train" else (train, None)
    if role_of(folder.name) == "train" and (beside := layout_parts(folder.parent)):
        return train, _test_of(str(folder.parent), beside)
    below = layout_parts(folder)
    return (f"{base}:{below['train']}", _test_of(base, below)) if below else (train, None)


def _test_of(base: str, parts: dict[str, str]) -> str | None:
    name = next((parts[role] for role in TESTS if role in parts), None)
    return None if name is None else f"{base}:{name}"


def own_annotated(run: Run) -> str:
    """The folder of annotated images that a run has learned from: the one around its folder of images.

    Raises:
        UserError: where that is unknown or gone.
    """
    data = run.config["data"]
    folder = None if data is None else Path(split_of(data)[0])
    if folder is None or not folder.is_dir():
        raise UserError(f"name annotated images with --train: {run.path} learned from {data or 'data in memory'}")
    return str(folder.parent if folder.name.lower() in IMAGES else folder)


def images_of(data: Any) -> Any:
    """What is learned from without annotations: the folder of images of data, or of its part to learn from."""
    if not isinstance(data, str | Path) or not Path(split_of(str(data))[0]).expanduser().is_dir():
        return data
    part = annotated_parts(data, None)[0]
    layout = layout_of(part)
    return str(layout.images) if layout.parquet is None else str(part)


def check_annotated(
    task: AnnotatedTask,
    train: Any,
    test: Any,
    *,
    labelled: Sequence[LabelCount] | None,
    seeds: int | None,
    protocols: Sequence[str] | None,
    steps: int | None,
    given: bool,
) -> None:
    """Raise `UserError` before a training that could not be evaluated.

    Args:
        task: that is to be measured.
        train, test: as `annotated_parts` has them.
        labelled, seeds, protocols, steps: of the evaluation.
        given: whether the training goes on from known weights.
    """
    check_int(seeds=seeds, steps=steps)
    task.check_protocols(protocols, given=given)
    task.needs()
    found = [read_annotations(data, task.wanted) for data in (train, test) if data is not None]
    image_counts(labelled, len(found[0].images), str(train))


def open_annotated_parts(
    task: AnnotatedTask, run: Run, views: Any, train: Any, test: Any, *, tile: int | None, progress: bool
) -> AnnotatedParts:
    """The annotated images of an evaluation, letter-boxed to the size of the run's views.

    Args:
        task: that is to be measured.
        run: its own data is taken where no other is named.
        views: of its encoder.
        train, test: data to learn from and to test on.
        tile: the side of the squares that images are cut into, in pixels; None: they are not cut.
        progress: report on stderr.

    Raises:
        UserError: for a run of other samples, or data that cannot be read or used.
    """
    if (kinds := known_modalities(run)) and "image" not in kinds:
        raise UserError(f"--task {task.name} applies to images, but {run.path} has learned from {' and '.join(kinds)}")
    if train is None and test is not None:
        raise UserError("--test needs --train: name annotated images to learn from")
    train, test = annotated_parts(own_annotated(run) if train is None else train, test)
    if reopenable(train) is not None and reopenable(train) == reopenable(test):
        raise UserError(f"train and test are both {test}: test on images that no {task.one} was learned from")
    of_images = views if hasattr(views, "size") else encoder_for("image", run.encoder, views)[1]  # of a half of pairs
    how = {"size": of_images.size, "channels": of_images.channels, "tile": tile, "progress": progress}
    source = open_annotated(train, task.wanted, **how)
    if test is None:
        learned, held = _held_out(source)
        classes, ours, theirs = task_classes(task, source, source)
        note = f"a fifth of the {len(source.wholes):,} annotated images is held out for the test"
        return AnnotatedParts(
            task.data(source, learned, ours),
            task.data(source, held, theirs),
            classes,
            train,
            [note],
        )
    tested = open_annotated(test, task.wanted, **how)
    classes, ours, theirs = task_classes(task, source, tested)
    return AnnotatedParts(
        task.data(source, torch.arange(len(source.wholes)), ours),
        task.data(tested, torch.arange(len(tested.wholes)), theirs),
        classes,
        test,
        [],
    )


def _held_out(source: AnnotatedImages) -> tuple[torch.Tensor, torch.Tensor]:
    """Four fifths of the images to learn from and a fifth to test on, by `hold_out`: copies are on one side."""
    if len(source.wholes) < 2:
        raise UserError(f"{source.name} has one annotated image: name others to test on with --test")
    places = Subset(source.wholes, torch.arange(len(source.wholes)))
    places.has_own_targets = True  # masks or boxes, not classes
    train, test = hold_out(places)
    return train.indices, test.indices


def measured_annotated(
    task: AnnotatedTask,
    run: Run,
    network: nn.Module,
    views: Any,
    build: Callable[[], nn.Module] | None,
    data: AnnotatedParts,
    *,
    labelled: Sequence[LabelCount] | None,
    seeds: int | None,
    protocols: Sequence[str] | None,
    steps: int | None,
    compute: ComputeSettings,
    progress: Progress,
) -> AnnotatedMeasured:
    """Everything that `evaluation.json` says, but for "command", and the pictures.

    Args:
        task: that is measured.
        run: whose encoder is measured.
        network: the encoder.
        views: its views.
        build: builds its architecture untrained.
        data: of `open_annotated_parts`.
        labelled, seeds, protocols, steps, compute, progress: see `evaluate_segmentation` and `evaluate_detection`.
    """
    tower, its_views = encoder_for("image", network, views)
    given = initial_encoder(run)
    found = task.evaluate(
        tower,
        its_views,
        data.train,
        data.test,
        data.classes,
        labelled=labelled,
        seeds=SEEDS if seeds is None else seeds,
        protocols=protocols,
        steps=steps,
        make_encoder=build and (lambda: encoder_for("image", build(), views)[0]),
        given=given and encoder_for("image", given, views)[0],
        compute=compute,
        progress=progress,
    )
    sources = list(dict.fromkeys((data.train.source, data.test.source)))
    test = data.test.source.name
    notes = list(data.notes)
    result: dict[str, Any] = {
        "train": data.train.source.name,
        "test": test,
        "samples": {"train": len(data.train.chosen), "test": len(data.test.chosen)},
        task.name: found.values | {"colours": as_hex(task.colours(len(data.classes)))},
        "tables": [table.as_dict() for table in task.tables(found.values, test)],
        "skipped": {role: len(each.source.skipped) for role, each in (("train", data.train), ("test", data.test))},
    }
    learned, tested = data.train.wholes, data.test.wholes
    copies = copies_between(learned, tested)
    if copies:
        result["copies"] = copies_summary(copies)
        notes += copies_note(copies, learned, tested)
    if has_seen(run, data.tested):
        notes.append(f"The encoder has learned from images of {test}, without their {task.wanted}.")
    if notes:
        result["notes"] = notes
    skipped = Skipped(dict.fromkeys(each for source in sources for each in source.skipped))
    return AnnotatedMeasured(result, skipped, task.figures_file(task.figures(found.values, found.pictures)))
