"""Metrics of pretext tasks that classify which change was made to a view."""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def classification_metrics(scores: Float[Tensor, "n k"], truth: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """Cross-entropy and accuracy of the logits of k classes.

    Args:
        scores: logits.
        truth: the class of each row, from 0 to below k.
    """
    return {"loss": F.cross_entropy(scores, truth), "accuracy": (scores.detach().argmax(1) == truth).float().mean()}


def classification_chance(candidates: int) -> dict[str, float]:
    """`classification_metrics` of uninformed logits over classes of equal frequency."""
    return {"loss": math.log(candidates), "accuracy": 1 / candidates}
