"""What a run folder holds, read once: every part may be missing, a part that cannot be read is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from likewise.errors import UserError
from likewise.report.sprites import SpriteSheet, sprite_sheet
from likewise.runs.chance import ChanceLevels
from likewise.runs.config import RunConfig
from likewise.runs.detection_figures import DetectionFigures
from likewise.runs.evaluation import Evaluation
from likewise.runs.figures import Figures
from likewise.runs.files import DAMAGED, reason_of
from likewise.runs.gallery import Gallery
from likewise.runs.history import History
from likewise.runs.matches import RetrievalMatches
from likewise.runs.pairs import Pairs
from likewise.runs.part import Part
from likewise.runs.segmentation_figures import SegmentationFigures
from likewise.runs.skipped import Skipped
from likewise.runs.snapshots import Snapshots
from likewise.runs.verdict import Verdict

GALLERY_PIXELS = 1_500_000


@dataclass
class Contents:
    """A run folder's parts; a missing one is None or empty."""

    folder: Path
    config: RunConfig = field(default_factory=RunConfig)
    metrics: dict[str, Float[np.ndarray, " rows"]] = field(default_factory=dict)
    """The columns of the history, NaN where nothing was logged."""
    chance: ChanceLevels = field(default_factory=ChanceLevels)
    verdict: Verdict | None = None
    pairs: Pairs | None = None
    snapshots: Snapshots | None = None
    figures: Figures = field(default_factory=Figures)
    gallery: Gallery | None = None
    evaluation: Evaluation | None = None
    matches: RetrievalMatches | None = None
    segmentation: SegmentationFigures | None = None
    detection: DetectionFigures | None = None
    skipped: Skipped = field(default_factory=Skipped)
    unreadable: list[str] = field(default_factory=list)
    """One line per file that is there and could not be read."""

    @cached_property
    def gallery_sprites(self) -> SpriteSheet | None:
        """The gallery's samples as they look on the page; smaller, the more there are."""
        if self.gallery is None or self.gallery.samples.pictures is None:
            return None
        pictures = self.gallery.samples.pictures
        side = int(np.clip((GALLERY_PIXELS / len(pictures)) ** 0.5, 16, 96))
        return sprite_sheet("gallery", pictures, side=side)


def read_contents(folder: Path) -> Contents:
    """Read what is there of a run folder.

    Raises:
        UserError: `folder` is not a folder, or has none of a run's files.
    """
    if not folder.is_dir():
        raise UserError(f"run folder {str(folder)!r} does not exist; `likewise pretrain DATA --out …` makes one")
    contents = Contents(folder)
    found = 0

    def part(kind: type[Part]) -> Part | None:
        nonlocal found
        if not (folder / kind.FILE).exists():
            return None
        found += 1
        try:
            return kind.load(folder)
        except DAMAGED as error:
            contents.unreadable.append(f"{kind.FILE}: {reason_of(error)}")
            return None

    contents.config = part(RunConfig) or contents.config
    history = part(History) or History()
    contents.metrics = {name: np.array(history.column(name), dtype=np.float64) for name in history.names}
    contents.chance = part(ChanceLevels) or contents.chance
    contents.verdict = part(Verdict)
    contents.pairs = part(Pairs)
    contents.snapshots = part(Snapshots)
    contents.figures = part(Figures) or contents.figures
    contents.gallery = part(Gallery)
    contents.evaluation = part(Evaluation)
    contents.matches = part(RetrievalMatches)
    contents.segmentation = part(SegmentationFigures)
    contents.detection = part(DetectionFigures)
    contents.skipped = part(Skipped) or contents.skipped
    if not found:
        raise UserError(f"{str(folder)!r} is not a run folder: it has no config.json, metrics.csv or gallery.npz")
    return contents
