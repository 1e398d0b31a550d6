"""What a run's encoder is worth with five labels a class."""

from __future__ import annotations

from typing import Any

import likewise as lw


def accuracy(run: lw.Run, protocol: str, **given: Any) -> float:
    """Mean over three draws of the labels, in [0, 1]."""
    result = lw.evaluate(run, labels_per_class=(5,), seeds=3, protocols=(protocol,), progress=False, **given)
    return result["summary"][0]["mean"]
