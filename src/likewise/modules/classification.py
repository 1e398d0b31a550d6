"""Pretext tasks that ask which of some changes was made."""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def classification_metrics(scores: Float[Tensor, "n k"], truth: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """What an objective answers that asks which of k changes was made: cross-entropy, and the share named right."""
    return {"loss": F.cross_entropy(scores, truth), "accuracy": (scores.detach().argmax(1) == truth).float().mean()}


def classification_chance(candidates: int) -> dict[str, float]:
    """What `classification_metrics` is where nothing is known and all changes are as frequent."""
    return {"loss": math.log(candidates), "accuracy": 1 / candidates}
