"""Masks for `likewise fit` and `predict`: a classifier of pixels, and the masks that it predicts."""

from __future__ import annotations

import copy
import datetime
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from likewise import __version__
from likewise.atomic import own_folder, telling_of_the_disk, write_text
from likewise.commands.classified import encoder_of_classifier
from likewise.commands.labelled import use_own
from likewise.commands.options import as_run, command_line, reopenable
from likewise.commands.segmentation import IMAGES_AT_ONCE, tell_annotated_source
from likewise.console import count_of, plain, tell
from likewise.data import endings, pictures
from likewise.data.annotations.source import AnnotatedImages, open_annotated
from likewise.data.cache import digest
from likewise.data.files import folder_of, printable, scan
from likewise.data.request import Request
from likewise.data.resolve import resolve
from likewise.errors import UserError
from likewise.evaluation.inputs import ComputeSettings
from likewise.evaluation.linear import FEW_LABELS_VARIANCE
from likewise.evaluation.mask_files import mask_names, predicted_masks, write_mask
from likewise.evaluation.reinitialize import reinitialize
from likewise.evaluation.segmentation import SegmentationData, SegmentationEvaluation, same_classes
from likewise.evaluation.segmenter import DenseEncoder, Segmenter
from likewise.modalities.encoder_digest import encoder_digest
from likewise.modalities.run import Run
from likewise.modalities.towers import encoder_for
from likewise.runs.classifier import Classifier, relative_to
from likewise.runs.skipped import Skipped
from likewise.training.callbacks.progress import progress_bar
from likewise.training.machine import device_name

NAMES = "classes.txt"
SKIPPED = "skipped.csv"
AT_ONCE = 16
"""Images."""


@dataclass(frozen=True)
class PredictedMasks:
    """Masks that were written."""

    out: str
    rows: int
    """Images."""
    classes: list[str]
    images: dict[str, int]
    """In how many images each class is."""
    skipped: int

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table("class", "images", box=None, header_style="bold")
        table.columns[1].justify = "right"
        for name, count in self.images.items():
            table.add_row(plain(name), f"{count:,}")
        return Group(plain(f"{self.out}: {count_of(self.rows, 'mask')}"), table)


def fit_masks(
    run: Any, labels: Any, path: Path, *, protocol: str, seed: int, encoder: Any, views: Any, progress: bool
) -> Classifier:
    """Fit a classifier of pixels to images with masks, and keep it.

    Args:
        run: whose features it stands on.
        labels: a folder of annotated images.
        path: its folder.
        protocol: frozen or fine-tuned.
        seed: of the training.
        encoder, views: the user's own, from Python.
        progress: show progress on stderr.
    """
    run = as_run(run)
    its_views = views or run.views
    if run.modality != "image":
        raise UserError(f"--task segmentation applies to images, but {run.path} has learned from {run.modality}")
    source = open_annotated(labels, "masks", size=its_views.size, channels=its_views.channels, progress=progress)
    tell_annotated_source(source, str(path / SKIPPED), progress)
    use_own(run, encoder, views, source)
    tower, its_views = encoder_for("image", run.encoder, its_views)
    compute = ComputeSettings(torch.device(device_name()), batch_size=IMAGES_AT_ONCE, channels_last=True)
    classes, numbers, _ = same_classes(source.class_names, source.class_names)
    data = SegmentationData(source, torch.arange(len(source)), numbers)
    evaluation = SegmentationEvaluation(
        encoders={"frozen": copy.deepcopy(tower)},
        make_encoder=partial(reinitialize, tower),
        views=its_views,
        train=data,
        test=data,
        classes=len(classes),
        draws={(seed, "all"): torch.arange(len(source))},
        steps=None,
        compute=compute,
        progress=lambda done, total, text: None,
    )
    tell(f"fitting to {count_of(len(source), 'annotated image')}", show=progress)
    segmenter = evaluation.fitted(protocol, seed, "all")
    classifier = Classifier(
        path, _info(run, labels, source, classes, segmenter, path, protocol, seed, evaluation), _arrays(segmenter)
    )
    tuned: Any = segmenter.dense
    with telling_of_the_disk(path, "name another folder with --out"):
        classifier.save(None if protocol == "frozen" else tuned.encoder.cpu())
        if source.skipped or (path / SKIPPED).is_file():
            Skipped(source.skipped).write(path / SKIPPED)
    tell(f"the classifier: {path}; `likewise predict {path} DATA --out masks` uses it", show=progress)
    return classifier


def _info(
    run: Run,
    labels: Any,
    source: AnnotatedImages,
    classes: list[str],
    segmenter: Segmenter,
    path: Path,
    protocol: str,
    seed: int,
    evaluation: SegmentationEvaluation,
) -> dict[str, Any]:
    """What classifier.json says."""
    counts = [0] * len(classes)
    content = []
    for some in torch.arange(len(source)).split(AT_ONCE):
        masks = source.masks(some)
        content.append(digest([masks.numpy().tobytes()]))
        for label in range(len(classes)):
            counts[label] += int((masks == label).flatten(1).any(1).sum())
    options = {
        "labels": labels,
        "out": path,
        "task": "segmentation",
        "protocol": None if protocol == "frozen" else protocol,
        "seed": seed,
    }
    tuned = {"digest": "", "steps": evaluation.steps_of(protocol), "folds": 0}
    return {
        "likewise": __version__,
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command_line("fit", run.path, options),
        "task": "segmentation",
        "classes": classes,
        "counts": counts,
        "encoder": {
            "run": str(run.path.resolve()),
            "relative": relative_to(path, run.path),
            "digest": encoder_digest(run),
            "dim": segmenter.head.in_features,
            "modality": "image",
        },
        **({} if protocol == "frozen" else {"fine_tuned": tuned}),
        "labels": {
            "file": reopenable(labels),
            "data": reopenable(labels),
            "digest": digest([*source.ids, *content]),
            "samples": len(source),
        },
        "digest": "",
        "variance": FEW_LABELS_VARIANCE,
        "balanced": False,
        "seed": seed,
        "temperature": 1.0,
        "threshold": None,
        "thresholds": None,
        "cross_validation": None,
        "notes": [
            "the numbers are those of images in which a class is; `likewise evaluate --task segmentation` measures how "
            "good such masks are"
        ],
    }


def _arrays(segmenter: Segmenter) -> dict[str, np.ndarray]:
    head = segmenter.head
    return {
        "weight": head.weight.detach().cpu().float().numpy(),
        "bias": head.bias.detach().cpu().float().numpy(),
        "mean": np.zeros(head.in_features, dtype=np.float32),
        "scale": np.ones(head.in_features, dtype=np.float32),
    }


def predict_masks(
    classifier: Classifier, run: Run, data: Any, out: Any, *, encoder: Any, views: Any, progress: bool
) -> PredictedMasks:
    """Write the mask of each image of a folder.

    Args:
        classifier: of pixels.
        run: that it stands on.
        data: a folder of images.
        out: the folder of masks; one that has others is refused, but for those that likewise has written.
        encoder, views: the user's own, from Python.
        progress: show progress on stderr.
    """
    found, split = resolve(data)
    asked = folder_of(Request(found, split))
    if asked is None:
        raise UserError(f"data must be a folder of images where masks are predicted, got {data}")
    if out is None:
        raise UserError("out must be given: a folder for the masks")
    folder, name = asked
    place = Path(out).expanduser()
    _check_place(place, folder)
    files, unreadable = scan(folder, endings.IMAGES, pictures.recognises, "an image")
    if not files:
        raise UserError(f"{data} holds no images")
    views = views or run.views
    if encoder is not None:
        run.load_encoder(encoder)
    tower, its_views = encoder_of_classifier(classifier, run, views)
    compute = ComputeSettings(torch.device(device_name()), batch_size=AT_ONCE, channels_last=True)
    head = nn.utils.skip_init(nn.Linear, *classifier.arrays["weight"].shape[::-1])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(classifier.arrays["weight"]))
        head.bias.copy_(torch.from_numpy(classifier.arrays["bias"]))
    network = compute.place(Segmenter(DenseEncoder(tower), head)).eval()
    classes = classifier.classes
    counts = [0] * len(classes)
    skipped = [(printable(file), why) for file, why in unreadable]
    names = dict(zip((file.id for file in files), mask_names(files), strict=True))
    how = {"size": its_views.size, "channels": its_views.channels, "compute": compute}
    with telling_of_the_disk(place), progress_bar(show=progress) as report:
        own_folder(place)
        written = 0
        for each in predicted_masks(network, its_views, folder, files, **how):
            if each.mask is None:
                skipped.append((printable(each.file.id), each.reason))
                continue
            target = place / names[each.file.id]
            if target.parent != place:
                for above in reversed(Path(names[each.file.id]).parents[:-1]):
                    own_folder(place / above)
            write_mask(target, each.mask, len(classes))
            for label in np.unique(each.mask).tolist():
                counts[label] += 1
            written += 1
            report(written, len(files), "predicting")
        write_text(place / NAMES, "".join(f"{name}\n" for name in classes))
        if skipped:
            Skipped(skipped).write(place / SKIPPED)
    if skipped:
        left_out = count_of(len(skipped), "file")
        tell(f"{name}: {left_out} could not be read (see {place / SKIPPED})", show=progress)
    return PredictedMasks(str(out), written, classes, dict(zip(classes, counts, strict=True)), len(skipped))


def _check_place(place: Path, folder: Path) -> None:
    """Raise `UserError` for a folder that holds something else than masks of before, or in which the images are."""
    if place.resolve() == folder.resolve():
        raise UserError(f"out must be another folder than that of the images, got {place}")
    if place.is_dir() and any(place.iterdir()) and not (place / NAMES).is_file():
        raise UserError(f"{place} exists and holds something else: name another folder with --out")
