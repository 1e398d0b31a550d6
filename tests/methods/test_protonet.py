"""ProtoNet: the paper's loss, and how queries are named."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import built

from likewise.methods.protonet import ProtoNet

WAY, SHOT, QUERY = 3, 2, 2


def views() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2 * WAY * (SHOT + QUERY), 1, 4, 4, generator=generator, dtype=torch.float64)


def test_the_loss_is_the_papers() -> None:
    """Equations 1 and 2, and algorithm 1, sample by sample."""
    method = built(ProtoNet, way=WAY, shot=SHOT, query=QUERY)
    found = method.objective(views())
    z = method.encoder(views()).unflatten(0, (2, WAY, SHOT + QUERY)).tolist()
    losses, right = [], []
    for episode in z:
        prototypes = [[sum(values) / SHOT for values in zip(*samples[:SHOT], strict=True)] for samples in episode]
        for k, samples in enumerate(episode):
            for x in samples[SHOT:]:
                away = [sum((a - b) ** 2 for a, b in zip(x, prototype, strict=True)) for prototype in prototypes]
                losses.append(away[k] + math.log(sum(math.exp(-d) for d in away)))
                right.append(away[k] == min(away))
    assert found["loss"].item() == pytest.approx(sum(losses) / len(losses), rel=1e-12)
    assert found["accuracy"].item() == pytest.approx(sum(right) / len(right))
    assert 0 < found["accuracy"] < 1
    assert method.chance(64) == {"loss": math.log(WAY), "accuracy": 1 / WAY}


def test_queries_get_the_class_of_the_nearest_prototype() -> None:
    method = built(ProtoNet, way=WAY, shot=SHOT, query=QUERY)
    episodes = list(method.episodes(views()))
    right = [(method.name_classes(one).argmax(1) == one.query_classes).float().mean() for one in episodes]
    assert torch.stack(right).mean().item() == pytest.approx(method.objective(views())["accuracy"].item())
