"""Learning curves: loss and accuracy on some training and test samples at a few steps of a training."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

CURVE_POINTS = 10

CURVE_SAMPLES = 256
"""Curves are measured on at most this many labelled and test samples, results on all test samples."""


def curve_steps(steps: int) -> frozenset[int]:
    """The steps, from 0 to the last, at which a curve is measured: about evenly spaced."""
    return frozenset(round(i * steps / CURVE_POINTS) for i in range(CURVE_POINTS + 1))


def curve_point(
    epoch: float,
    train: tuple[Float[Tensor, "n classes"], Int[Tensor, " n"]],
    test: tuple[Float[Tensor, "m classes"], Int[Tensor, " m"]],
) -> dict[str, float]:
    """A point of a curve: mean cross-entropy (nats) and accuracy of the training and test (logits, labels)."""
    point = {"epoch": epoch}
    for name, (logits, labels) in (("train", train), ("test", test)):
        point[f"{name}_loss"] = float(F.cross_entropy(logits, labels))
        point[f"{name}_accuracy"] = float((logits.argmax(1) == labels).double().mean())
    return point
