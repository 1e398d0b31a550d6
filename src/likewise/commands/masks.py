"""Masks for `likewise predict`: those that a classifier of pixels predicts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from likewise.atomic import own_folder, telling_of_the_disk, write_text
from likewise.commands.images_to_predict import (
    ImagesToPredict,
    encoder_to_predict,
    images_to_predict,
    tell_unread,
)
from likewise.console import count_of, plain
from likewise.data.files import printable
from likewise.errors import UserError
from likewise.evaluation.mask_files import mask_names, predicted_masks, write_mask
from likewise.evaluation.segmentation_decoder import decoder_of
from likewise.evaluation.segmenter import DecodedSegmenter, DenseEncoder, Segmenter
from likewise.modalities.run import Run
from likewise.runs.classifier import Classifier
from likewise.runs.skipped import Skipped
from likewise.training.callbacks.progress import progress_bar

NAMES = "classes.txt"
SKIPPED = "skipped.csv"


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
    images = images_to_predict(data, "masks")
    if out is None:
        raise UserError("out must be given: a folder for the masks")
    place = Path(out).expanduser()
    _check_place(place, images)
    tower, its_views, compute = encoder_to_predict(classifier, run, encoder, views)
    network = compute.place(_network(classifier, tower)).eval()
    classes = classifier.classes
    counts = [0] * len(classes)
    skipped, files = images.skipped, images.files
    names = dict(zip((file.id for file in files), mask_names(files), strict=True))
    how = {"tile": classifier.tile, "size": its_views.size, "channels": its_views.channels, "compute": compute}
    with telling_of_the_disk(place), progress_bar(show=progress) as report:
        own_folder(place)
        written = 0
        for each in predicted_masks(network, its_views, images.folder, files, **how):
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
    tell_unread(images, len(skipped), place / SKIPPED, progress)
    return PredictedMasks(str(out), written, classes, dict(zip(classes, counts, strict=True)), len(skipped))


def _network(classifier: Classifier, tower: nn.Module) -> nn.Module:
    """What predicts the classes of places, on an encoder."""
    dense, arrays = DenseEncoder(tower), classifier.arrays
    if "head" in classifier.info:
        return DecodedSegmenter(dense, decoder_of(arrays, len(classifier.classes), classifier.path))
    head = nn.utils.skip_init(nn.Linear, *arrays["weight"].shape[::-1])
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(arrays["weight"]))
        head.bias.copy_(torch.from_numpy(arrays["bias"]))
    return Segmenter(dense, head)


def _check_place(place: Path, images: ImagesToPredict) -> None:
    """Raise `UserError` for a folder that holds something else than masks of before, or in which the images are."""
    if place.resolve() in (images.root.resolve(), images.folder.resolve()):
        raise UserError(f"out must be another folder than that of the images, got {place}")
    if place.is_dir() and any(place.iterdir()) and not (place / NAMES).is_file():
        raise UserError(f"{place} exists and holds something else: name another folder with --out")
