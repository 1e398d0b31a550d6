from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.errors import UserError
from likewise.methods.base import TrainingContext
from likewise.methods.contrastive_autoencoder import ContrastiveAutoencoder
from likewise.seeding import generator_for
from likewise.views import ImageViews

IMAGES = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CONTEXT = TrainingContext(samples=8, batch_size=8, steps=10, steps_per_epoch=1, read=IMAGES.__getitem__)


def built(**options: Any) -> ContrastiveAutoencoder:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh())
    encoder.dim = 12  # type: ignore[assignment]
    method = ContrastiveAutoencoder(encoder, **options)
    method.views = ImageViews([{"brightness": {"strength": 0.5}}], size=8, channels=1)
    method.prepare(CONTEXT)
    return method


def naive_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> float:
    rows = [row / row.norm() for row in torch.cat([z1, z2]).double()]
    total = 0.0
    for i, row in enumerate(rows):
        logits = [(row @ other).item() / temperature for j, other in enumerate(rows) if j != i]
        positive = (row @ rows[(i + len(z1)) % len(rows)]).item() / temperature
        total += math.log(sum(map(math.exp, logits))) - positive
    return total / len(rows)


def test_the_loss_is_contrast_plus_the_weighted_error_of_both_views() -> None:
    method = built(temperature=0.3, code_dim=5, reconstruction=2.5).double()
    first, second = (view.double() for view in method.make_views(Batch(IMAGES, torch.arange(8)), generator_for(0)))
    assert not torch.equal(first, second)
    method.eval()  # the norms of the projector see one view at a time below
    answer = method.objective(first, second)
    z1, z2 = (method.projector(method.encoder(view)) for view in (first, second))
    contrast = naive_nt_xent(z1, z2, 0.3)
    errors = [
        (a - b) ** 2
        for view in (first, second)
        for a, b in zip(
            method.decoder(method.code(method.encoder(view))).float().flatten().tolist(),
            view.flatten().tolist(),
            strict=True,
        )
    ]
    assert answer["contrast"].item() == pytest.approx(contrast, rel=1e-5)
    assert answer["loss"].item() == pytest.approx(contrast + 2.5 * sum(errors) / len(errors), rel=1e-5)


def test_both_parts_of_the_loss_reach_the_encoder() -> None:
    method = built()
    views = method.make_views(Batch(IMAGES, torch.arange(8)), generator_for(0))
    answer = method.objective(*views)
    [weights] = torch.autograd.grad(answer["contrast"], [method.encoder[1].weight], retain_graph=True)
    [both] = torch.autograd.grad(answer["loss"], [method.encoder[1].weight])
    assert weights.abs().sum() > 0
    assert (both - weights).abs().sum() > 0


def test_chance_and_mistakes() -> None:
    assert built().chance(8) == {"explained": 0.0, "contrast": pytest.approx(math.log(15))}
    with pytest.raises(UserError, match=r"^reconstruction must be"):
        built(reconstruction=0.0)
    with pytest.raises(UserError, match=r"^projection_dim must be"):
        built(projection_dim=0)
