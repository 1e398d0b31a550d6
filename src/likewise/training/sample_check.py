"""Whether samples can teach anything: equal, blank or repeated ones and noise leave a method nothing to learn."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

CHECKED = 64
"""Samples that are looked at."""
FEW = 8
"""Fewer samples say nothing of the data."""
LEAST_CORRELATION = 0.05
"""Of neighbouring pixels. Photographs and drawings have above 0.5; uniform noise has 0."""


def samples_problem(samples: Any) -> str | None:
    """What is the matter with samples of the training data, in one sentence; None where nothing is.

    Args:
        samples: a batch, as a source reads it. Only tensors, one row a sample, are examined.
    """
    if not isinstance(samples, Tensor) or len(samples) < 2:
        return None
    rows = samples.detach().cpu().flatten(1)
    if rows.shape[1] > 1 and bool((rows == rows[:, :1]).all()):
        return "The samples are blank: every value of a sample is equal, so there is nothing to learn."
    different = len({row.numpy().tobytes() for row in rows})
    if different == 1:
        return "All samples are equal: there is nothing to learn from them."
    if len(rows) >= FEW and different <= len(rows) // 2:
        return (
            f"Samples are repeated: of {len(rows)} samples only {different} are different, and the figures of the "
            "training say little of an encoder that learns from so few."
        )
    if samples.ndim == 4 and samples.dtype == torch.uint8 and _is_noise(samples.cpu()):
        return "The images are noise: neighbouring pixels are not correlated, so views have no content to share."
    return None


def _is_noise(images: UInt8[Tensor, "n c h w"]) -> bool:
    if images.shape[3] < FEW or len(images) < 2:
        return False
    left, right = (part.double().flatten(1) for part in (images[..., :-1], images[..., 1:]))
    left, right = (part - part.mean(1, keepdim=True) for part in (left, right))
    scale = (left.square().sum(1) * right.square().sum(1)).sqrt()
    known = scale > 0
    return bool(known.any()) and float(((left * right).sum(1)[known] / scale[known]).median()) < LEAST_CORRELATION
