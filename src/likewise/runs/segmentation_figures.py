"""segmentation.npz: predictions over pictures."""

from __future__ import annotations

from typing import ClassVar

from likewise.runs.figures import Figures


class SegmentationFigures(Figures):
    """Test images with their masks, what protocols made of them, and features as colours."""

    FILE: ClassVar[str] = "segmentation.npz"
