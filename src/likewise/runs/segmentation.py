"""The part of evaluation.json about segmentation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from likewise.runs.declared import Count, Range, Share, TileSide

ImageCount = Annotated[int, Range(1, 2**53)] | Literal["all"]
SegmentationMeasure = Literal["miou", "boundary_f"]


class SegmentationTrial(TypedDict):
    """The measures of a protocol that learned from one draw of images."""

    protocol: str
    labelled: ImageCount
    seed: Count
    miou: Share
    boundary_f: Share
    iou: list[Share | None]
    """Of each class; none where it is in neither mask."""
    f: list[Share | None]


class SegmentationSummary(TypedDict):
    """A measure of a protocol with one number of images, over seeds."""

    protocol: str
    labelled: ImageCount
    measure: SegmentationMeasure
    mean: Share
    low: float | None
    high: float | None
    seeds: Annotated[int, Range(1, 2**53)]


class SegmentationDifference(TypedDict):
    """By how much a measure of one protocol is above that of another, seed by seed."""

    protocol: str
    versus: str
    labelled: ImageCount
    measure: SegmentationMeasure
    mean: Annotated[float, Range(-1, 1)]
    low: float | None
    high: float | None


class ConstantClass(TypedDict):
    """The measures of always predicting the commonest class."""

    miou: Share
    boundary_f: Share


class SegmentationFile(TypedDict):
    """What "segmentation" of evaluation.json holds."""

    classes: list[str]
    tile: NotRequired[TileSide]
    seeds: Annotated[int, Range(1, 2**53)]
    labelled: list[ImageCount]
    protocols: list[str]
    protocol_details: dict[str, dict[str, Any]]
    baseline: ConstantClass
    trials: list[SegmentationTrial]
    summary: list[SegmentationSummary]
    differences: list[SegmentationDifference]
