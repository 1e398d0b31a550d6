"""The tasks on annotated images: what each has of its own, for the commands that serve them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from likewise.data.annotations.read import Wanted
from likewise.data.annotations.source import AnnotatedImages
from likewise.data.cache import digest
from likewise.errors import needs
from likewise.evaluation.annotated import AnnotatedData, AnnotatedEvaluation
from likewise.evaluation.annotated_tables import class_colours
from likewise.evaluation.detection import (
    DetectionData,
    DetectionEvaluation,
    check_detection_protocols,
    evaluate_detection,
)
from likewise.evaluation.detection_tables import detection_figure, detection_tables, thing_colours
from likewise.evaluation.detector import own_weights
from likewise.evaluation.segmentation import (
    DECODER,
    SegmentationData,
    SegmentationEvaluation,
    check_segmentation_protocols,
    evaluate_segmentation,
    same_classes,
)
from likewise.evaluation.segmentation_tables import segmentation_figure, segmentation_tables
from likewise.evaluation.segmenter import DecodedSegmenter, Segmenter
from likewise.runs.detection_figures import DetectionFigures
from likewise.runs.figures import Figure, Figures
from likewise.runs.segmentation_figures import SegmentationFigures
from likewise.runs.table import Table

AT_ONCE = 16
"""Masks that are counted at once."""


class FittedNetwork:
    """What `likewise fit` keeps of a network on the maps of an encoder.

    Attributes: `encoder`; `dim`, of the joined maps; `arrays`, the weights of what stands on these.
    """

    def __init__(self, encoder: nn.Module, dim: int, arrays: dict[str, Tensor]) -> None:
        self.encoder, self.dim = encoder, dim
        self.arrays = {name: np.asarray(value.detach().cpu().float().numpy()) for name, value in arrays.items()}


@dataclass(frozen=True)
class AnnotatedTask:
    """What a task has of its own."""

    name: str
    wanted: Wanted
    one: str
    """The singular of `wanted`."""
    of_things: bool
    """Whether the background is no class."""
    data: type[AnnotatedData]
    evaluation: type[AnnotatedEvaluation[Any, Any]]
    check_protocols: Callable[..., list[str]]
    evaluate: Callable[..., Any]
    """See `evaluate_segmentation`; what it returns has `values` and `pictures`."""
    tables: Callable[[dict[str, Any], str], list[Table]]
    figures: Callable[[dict[str, Any], Any], list[Figure]]
    figures_file: type[Figures]
    colours: Callable[[int], Tensor]
    counted: Callable[[Any, int], tuple[list[int], list[str]]]
    """Of data, and how many classes it has: the number of annotations of each class, and digests of annotations."""
    kept: Callable[[Any], FittedNetwork]
    """Of what `evaluation.fitted` returns."""
    note: str
    """What the classifier says of its counts; `{samples}` are images or tiles."""
    out: str
    """An example of where predictions are written."""
    fit_protocols: tuple[str, ...]
    """Those whose networks can be kept."""
    needs: Callable[[], object] = lambda: None
    """Raises `UserError` where a package is not installed."""


def task_classes(
    task: AnnotatedTask, train: AnnotatedImages, test: AnnotatedImages
) -> tuple[list[str], Int[Tensor, " 256"], Int[Tensor, " 256"]]:
    """See `same_classes`; things are counted without the background, which is the class 0 of both sources."""
    first = int(task.of_things)
    classes, ours, theirs = same_classes(train.class_names[first:], test.class_names[first:])
    return classes, ours.roll(first), theirs.roll(first)


def _counted_masks(data: SegmentationData, classes: int) -> tuple[list[int], list[str]]:
    """In how many images each class is."""
    counts, content = [0] * classes, []
    for some in torch.arange(len(data)).split(AT_ONCE):
        masks = data.masks(some)
        content.append(digest([masks.numpy().tobytes()]))
        for label in range(classes):
            counts[label] += int((masks == label).flatten(1).any(1).sum())
    return counts, content


def _counted_boxes(data: DetectionData, classes: int) -> tuple[list[int], list[str]]:
    """How many boxes of each class there are."""
    counts, content = [0] * classes, []
    for place in range(len(data)):
        boxes = data.boxes(place)
        content.append(digest(boxes))
        for box in boxes:
            counts[box.label] += 1
    return counts, content


def _kept_segmenter(segmenter: Segmenter | DecodedSegmenter) -> FittedNetwork:
    head, dense = segmenter.head, segmenter.dense
    if isinstance(segmenter, DecodedSegmenter):
        widths = sum(value.numel() for name, value in head.named_buffers() if name.startswith("mean_"))
        return FittedNetwork(dense.encoder, widths, head.state_dict())  # type: ignore[arg-type]
    dim: Any = head.in_features
    arrays: dict[str, Any] = {
        "weight": head.weight,
        "bias": head.bias,
        "mean": torch.zeros(dim),
        "scale": torch.ones(dim),
    }
    return FittedNetwork(dense.encoder, dim, arrays)  # type: ignore[arg-type]


def _kept_detector(network: Any) -> FittedNetwork:
    pyramid = network.backbone
    return FittedNetwork(pyramid.dense.encoder, pyramid.project.in_channels, own_weights(network))


TASKS = {
    task.name: task
    for task in (
        AnnotatedTask(
            name="segmentation",
            wanted="masks",
            one="mask",
            of_things=False,
            data=SegmentationData,
            evaluation=SegmentationEvaluation,
            check_protocols=check_segmentation_protocols,
            evaluate=evaluate_segmentation,
            tables=segmentation_tables,
            figures=segmentation_figure,
            figures_file=SegmentationFigures,
            colours=class_colours,
            counted=_counted_masks,
            kept=_kept_segmenter,
            note="the numbers are those of {samples} in which a class is; `likewise evaluate --task segmentation` "
            "measures how good such masks are",
            out="masks",
            fit_protocols=("frozen", DECODER, "fine-tuned"),
        ),
        AnnotatedTask(
            name="detection",
            wanted="boxes",
            one="box",
            of_things=True,
            data=DetectionData,
            evaluation=DetectionEvaluation,
            check_protocols=check_detection_protocols,
            evaluate=evaluate_detection,
            tables=detection_tables,
            figures=detection_figure,
            figures_file=DetectionFigures,
            colours=thing_colours,
            counted=_counted_boxes,
            kept=_kept_detector,
            note="the numbers are those of boxes in {samples}; `likewise evaluate --task detection` measures how well "
            "such boxes are found",
            out="boxes.json",
            fit_protocols=("frozen", "fine-tuned"),
            needs=lambda: needs("faster_coco_eval", "detection"),
        ),
    )
}
