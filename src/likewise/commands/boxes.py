"""Boxes for `likewise predict`: those that a detector finds, as COCO's results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likewise.atomic import check_file_place, telling_of_the_disk, write_json, write_text
from likewise.commands.images_to_predict import encoder_to_predict, images_to_predict, tell_unread
from likewise.console import count_of, plain
from likewise.data.annotations.coco import CocoIds, coco_ids
from likewise.data.annotations.layout import find_layout
from likewise.data.files import printable
from likewise.errors import UserError
from likewise.evaluation.box_files import coco_boxes, predicted_boxes
from likewise.evaluation.detection_errors import SHOWN_SCORE, surest
from likewise.evaluation.detector import detector, load_own_weights
from likewise.evaluation.segmenter import DenseEncoder
from likewise.modalities.run import Run
from likewise.runs.classifier import Classifier
from likewise.runs.skipped import Skipped
from likewise.training.callbacks.progress import progress_bar

SUFFIX = ".json"
IMAGES = ".images.json"
SKIPPED = ".skipped.csv"


@dataclass(frozen=True)
class PredictedBoxes:
    """Boxes that were written."""

    out: str
    images: str
    """The file that says which image and which class a number means."""
    rows: int
    """Images."""
    found: int
    """Boxes, however sure."""
    boxes: dict[str, int]
    """How many of each class have a score of at least `SHOWN_SCORE`."""
    skipped: int

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        sure = f"score of at least {SHOWN_SCORE}"
        table = Table("class", sure, box=None, header_style="bold")
        table.columns[1].justify = "right"
        for name, count in self.boxes.items():
            table.add_row(plain(name), f"{count:,}")
        found = count_of(self.found, "box", "boxes")
        return Group(plain(f"{self.out}: {found} in {count_of(self.rows, 'image')}"), table)


def predict_boxes(
    classifier: Classifier, run: Run, data: Any, out: Any, *, encoder: Any, views: Any, progress: bool
) -> PredictedBoxes:
    """Write the boxes of things in all images of a folder into one file.

    Args:
        classifier: a detector.
        run: that it stands on.
        data: a folder of images. If it has a file of COCO's annotations, images and classes have the numbers of these.
        out: the .json file.
        encoder, views: the user's own, from Python.
        progress: show progress on stderr.
    """
    images = images_to_predict(data, "boxes")
    if out is None or Path(out).suffix.lower() != SUFFIX:
        raise UserError(f"out must be a .json file where boxes are predicted, got {out}")
    place = Path(out).expanduser()
    check_file_place(place)
    tower, its_views, compute = encoder_to_predict(classifier, run, encoder, views)
    classes = classifier.classes
    dense = DenseEncoder(compute.place(tower))
    blank = torch.zeros(1, its_views.channels, its_views.size, its_views.size, dtype=torch.uint8)
    view = its_views.clean(blank.to(compute.device))
    network = compute.place(detector(dense, view, len(classes), learns=False, compute=compute))
    load_own_weights(network, classifier.arrays, classifier.path)
    ids = coco_ids(find_layout(images.root, None), images.folder, [file.id for file in images.files], classes)
    skipped, known, results = images.skipped, [], []
    counts = [0] * len(classes)
    with telling_of_the_disk(place), progress_bar(show=progress) as report:
        how = {"tile": classifier.tile, "size": its_views.size, "channels": its_views.channels, "compute": compute}
        for each in predicted_boxes(network, its_views, images.folder, images.files, **how):
            if each.found is None:
                skipped.append((printable(each.file.id), each.reason))
                continue
            number = ids.images[each.file.id]
            known.append({"id": number, "file_name": each.file.id, "width": each.size[0], "height": each.size[1]})
            results += coco_boxes(each.found, number, [ids.classes[name] for name in classes])
            for label in surest(each.found).labels.tolist():
                counts[label] += 1
            report(len(known), len(images.files), "predicting")
        write_text(place, json.dumps(results) + "\n")
        write_json(place.with_suffix(IMAGES), _said_of(known, ids))
        if skipped or place.with_suffix(SKIPPED).is_file():
            Skipped(skipped).write(place.with_suffix(SKIPPED))
    tell_unread(images, len(skipped), place.with_suffix(SKIPPED), progress)
    beside = str(Path(out).with_suffix(IMAGES))
    sure = dict(zip(classes, counts, strict=True))
    return PredictedBoxes(str(out), beside, len(known), len(results), sure, len(skipped))


def _said_of(images: list[dict[str, Any]], ids: CocoIds) -> dict[str, Any]:
    """A file of COCO's kind without annotations, for programs that read results."""
    categories = [{"id": number, "name": name} for name, number in ids.classes.items()]
    return {"images": images, "categories": categories, "annotations": []}
