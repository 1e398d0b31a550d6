"""The part of evaluation.json about detection."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from likewise.runs.declared import Count, Range, Share, TileSide
from likewise.runs.segmentation import ImageCount

DetectionMeasure = Literal["ap", "ap50", "ap75", "ar"]


class DetectionTrial(TypedDict):
    """The measures of a protocol that learned from one draw of images."""

    protocol: str
    labelled: ImageCount
    seed: Count
    ap: Share
    ap50: Share
    ap75: Share
    ar: Share
    by_class: list[Share | None]
    """The average precision of each class; none where it is nowhere in the truth."""
    errors: dict[str, Count]
    """Boxes of each kind."""


class DetectionSummary(TypedDict):
    """A measure of a protocol with one number of images, over seeds."""

    protocol: str
    labelled: ImageCount
    measure: DetectionMeasure
    mean: Share
    low: float | None
    high: float | None
    seeds: Annotated[int, Range(1, 2**53)]


class DetectionDifference(TypedDict):
    """By how much a measure of one protocol is above that of another, seed by seed."""

    protocol: str
    versus: str
    labelled: ImageCount
    measure: DetectionMeasure
    mean: Annotated[float, Range(-1, 1)]
    low: float | None
    high: float | None


class DetectionFile(TypedDict):
    """What "detection" of evaluation.json holds."""

    classes: list[str]
    tile: NotRequired[TileSide]
    seeds: Annotated[int, Range(1, 2**53)]
    labelled: list[ImageCount]
    protocols: list[str]
    protocol_details: dict[str, dict[str, Any]]
    trials: list[DetectionTrial]
    summary: list[DetectionSummary]
    differences: list[DetectionDifference]
