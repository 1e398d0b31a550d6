"""What a method shows of itself once it is trained."""

from __future__ import annotations

from typing import Any

import torch

from likewise.methods.base import Method
from likewise.runs.figures import Figures
from likewise.seeding import generator_for

KEY = 1 << 41  # no training step's key


def figures_of(method: Method, samples: Any) -> Figures:
    """The method's figures of a few samples, drawn with a key of its own seed. The method is left as it was.

    Args:
        samples: a batch, as a source reads it.
    """
    training = method.training
    samples = method.transfer_batch_to_device(samples, method.device, 0)
    with torch.no_grad():
        figures = method.eval().figures(samples, generator_for(method.training_context.seed, KEY))
    method.train(training)
    return Figures(figures)
