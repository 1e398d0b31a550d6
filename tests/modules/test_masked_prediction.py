from __future__ import annotations

import math

import pytest
import torch

from likewise.modules.masked_prediction import MaskedPrediction
from likewise.seeding import generator_for


def test_figures_are_those_of_one_frame_after_the_other() -> None:
    logits = torch.randn(30, 5, generator=generator_for(0), dtype=torch.float64)
    targets = torch.randint(4, (30,), generator=generator_for(1))
    prediction = MaskedPrediction(5)
    figures = prediction(logits, targets)
    losses, right, counts = [], 0, [0] * 5
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        losses.append(math.log(sum(math.exp(x) for x in row)) - row[target])
        right += row.index(max(row)) == target
        counts[target] += 1
    assert figures["loss"].item() == pytest.approx(sum(losses) / 30, rel=1e-12)
    assert figures["accuracy"].item() == pytest.approx(right / 30)
    entropy = -sum(c / 30 * math.log(c / 30) for c in counts if c)
    assert figures["code_perplexity"].item() == pytest.approx(math.exp(entropy), rel=1e-6)
    assert figures["by_frequency"].item() == pytest.approx(math.log(5), rel=1e-6)  # nothing has been counted yet
    later = prediction(logits, targets)["by_frequency"].item()
    by_hand = -sum(c / 30 * math.log((c + 1) / 35) for c in counts)
    assert later == pytest.approx(by_hand, rel=1e-6)
