"""detection.npz: boxes over pictures."""

from __future__ import annotations

from typing import ClassVar

from likewise.runs.figures import Figures


class DetectionFigures(Figures):
    """Test images with their boxes, those that protocols found, and what is wrong with these."""

    FILE: ClassVar[str] = "detection.npz"
