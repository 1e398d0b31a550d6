"""`likewise fit` on annotated images: a classifier of pixels, or a detector of things."""

from __future__ import annotations

import copy
import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from likewise import __version__
from likewise.atomic import telling_of_the_disk
from likewise.checks import check_choice
from likewise.commands.annotated import IMAGES_AT_ONCE, tell_annotated_source
from likewise.commands.annotated_tasks import AnnotatedTask, FittedNetwork, task_classes
from likewise.commands.labelled import use_own
from likewise.commands.options import as_run, command_line, reopenable
from likewise.console import count_of, tell
from likewise.data.annotations.source import open_annotated
from likewise.data.cache import digest
from likewise.errors import UserError
from likewise.evaluation.annotated import AnnotatedData
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.linear import FEW_LABELS_VARIANCE
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.seeds import seeded, trial_seed
from likewise.evaluation.segmentation import DECODER
from likewise.modalities.encoder_digest import encoder_digest
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for
from likewise.runs.classifier import Classifier, relative_to
from likewise.runs.skipped import Skipped
from likewise.training.machine import device_name

SKIPPED = "skipped.csv"


def fit_annotated(
    task: AnnotatedTask,
    run: Any,
    labels: Any,
    path: Path,
    *,
    protocol: str,
    seed: int,
    tile: int | None,
    encoder: Any,
    views: Any,
    progress: bool,
) -> Classifier:
    """Fit what predicts masks or boxes, and keep it.

    Args:
        task: that it is for.
        run: whose features it stands on.
        labels: a folder of annotated images.
        path: its folder.
        protocol: one of the task's `fit_protocols`.
        seed: of the training.
        tile: the side of the squares that images are cut into, in pixels; None: they are not cut.
        encoder, views: the user's own, from Python.
        progress: show progress on stderr.
    """
    run = as_run(run)
    check_choice(task.fit_protocols, protocol=protocol)
    its_views = views or run.views
    if run.modality != "image":
        raise UserError(f"--task {task.name} applies to images, but {run.path} has learned from {run.modality}")
    how: dict[str, Any] = {"size": its_views.size, "channels": its_views.channels, "tile": tile, "progress": progress}
    source = open_annotated(labels, task.wanted, **how)
    tell_annotated_source(source, str(path / SKIPPED), progress)
    use_own(run, encoder, views, source)
    tower, its_views = encoder_for("image", run.encoder, its_views)
    compute = ComputeSettings(torch.device(device_name()), batch_size=IMAGES_AT_ONCE, channels_last=True)
    classes, numbers, _ = task_classes(task, source, source)
    data = task.data(source, torch.arange(len(source.wholes)), numbers)
    evaluation = task.evaluation(
        encoders={"frozen": copy.deepcopy(tower)},
        make_encoder=partial(reinitialize, tower),
        views=its_views,
        train=data,
        test=data,
        classes=len(classes),
        draws={(seed, "all"): torch.arange(len(data))},
        steps=None,
        compute=compute,
        progress=lambda done, total, text: None,
    )
    of_tiles = "" if tile is None else f" in {count_of(len(source), 'tile')}"
    tell(f"fitting to {count_of(len(source.wholes), 'annotated image')}{of_tiles}", show=progress)
    with seeded(trial_seed(seed, protocol, "all"), compute.device):
        fitted = task.kept(evaluation.fitted(protocol, seed, "all"))
    is_tuned = protocol == "fine-tuned"
    steps = evaluation.steps_of(protocol) if is_tuned else None
    info = _info(task, run, labels, data, classes, fitted, path, seed, protocol, steps)
    classifier = Classifier(path, info, fitted.arrays)
    with telling_of_the_disk(path, "name another folder with --out"):
        classifier.save(fitted.encoder.cpu() if is_tuned else None)
        if source.skipped or (path / SKIPPED).is_file():
            Skipped(source.skipped).write(path / SKIPPED)
    tell(f"the classifier: {path}; `likewise predict {path} DATA --out {task.out}` uses it", show=progress)
    return classifier


def _info(
    task: AnnotatedTask,
    run: Run,
    labels: Any,
    data: AnnotatedData,
    classes: list[str],
    fitted: FittedNetwork,
    path: Path,
    seed: int,
    protocol: str,
    steps: int | None,
) -> dict[str, Any]:
    """What classifier.json says; `steps` are those of the fine-tuning."""
    counts, content = task.counted(data, len(classes))
    options = {
        "labels": labels,
        "out": path,
        "task": task.name,
        "protocol": None if protocol == "frozen" else protocol,
        "seed": seed,
        "tile": data.source.tile,
    }
    return {
        "likewise": __version__,
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command_line("fit", run.path, options),
        "task": task.name,
        "classes": classes,
        "counts": counts,
        "encoder": {
            "run": str(run.path.resolve()),
            "relative": relative_to(path, run.path),
            "digest": encoder_digest(run),
            "dim": fitted.dim,
            "modality": "image",
        },
        **({"head": "decoder"} if protocol == DECODER else {}),
        **({} if steps is None else {"fine_tuned": {"digest": "", "steps": steps, "folds": 0}}),
        "labels": {
            "file": reopenable(labels),
            "data": reopenable(labels),
            "digest": digest([*data.source.ids, *content]),
            "samples": len(data.chosen),
        },
        "digest": "",
        "variance": FEW_LABELS_VARIANCE,
        "balanced": False,
        "seed": seed,
        "temperature": 1.0,
        "threshold": None,
        "thresholds": None,
        "cross_validation": None,
        **({} if data.source.tile is None else {"tile": data.source.tile}),
        "notes": [task.note.format(samples="images" if data.source.tile is None else "tiles")],
    }
