from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_texts import WIDTH, Views, built, gradients, text_encoder, texts, views_of
from torch import Tensor
from torch.nn import functional as F

from likewise.data.batches import Parts
from likewise.errors import UserError
from likewise.losses import info_nce
from likewise.losses.hard_negatives import info_nce_with_hard_negatives
from likewise.methods.base import TrainingContext
from likewise.seeding import generator_for


class PartsViews:
    """Of each part the views of texts."""

    def __call__(self, batch: Any, generator: torch.Generator) -> Parts:
        return Parts(tuple(Views()(part, generator) for part in batch.parts))


def parts(count: int) -> Parts:
    return Parts(tuple(texts(seed=seed, longest=8 + 2 * seed) for seed in range(count)))


def with_parts(count: int, **options: Any) -> Any:
    method = built("simcse", **options)
    method.views = PartsViews()
    method.prepare(TrainingContext(12, 12, 10, 1, read=parts(count).__getitem__))
    return method


def naive(z: list[list[list[float]]], *, temperature: float, alpha: float = 1.0) -> float:
    """Equations 1 and 5 of the paper, number by number."""

    def cosine(x: list[float], y: list[float]) -> float:
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        return dot / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))

    anchors, positives, *hard = z
    losses = []
    for i, anchor in enumerate(anchors):
        total = 0.0
        for j in range(len(anchors)):
            total += math.exp(cosine(anchor, positives[j]) / temperature)
            if hard:
                total += (alpha if i == j else 1.0) * math.exp(cosine(anchor, hard[0][j]) / temperature)
        losses.append(math.log(total) - cosine(anchor, positives[i]) / temperature)
    return sum(losses) / len(losses)


def projected(method: Any, ids: Tensor) -> list[list[float]]:
    linear = method.projector[0]
    return torch.tanh(method.encoder(ids) @ linear.weight.T + linear.bias).tolist()


@pytest.mark.parametrize("hard_weight", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("count", [2, 3])
def test_pairs_and_hard_negatives_have_the_papers_loss(count: int, hard_weight: float) -> None:
    method = with_parts(count, temperature=0.2, hard_weight=hard_weight)
    loss = method.objective(*views_of(method, parts(count)))
    z = [projected(method, part) for part in parts(count).parts]
    assert loss.item() == pytest.approx(naive(z, temperature=0.2, alpha=math.exp(hard_weight)), rel=1e-9)


def test_the_gradient_of_weighted_hard_negatives_is_that_of_the_formula() -> None:
    generator = generator_for(0)
    z = [torch.randn(6, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]
    a, p, h = (F.normalize(x, dim=1) for x in z)
    scores = torch.cat([a @ p.T, a @ h.T + 0.1 * 1.5 * torch.eye(6, dtype=torch.float64)], dim=1) / 0.1
    expected = F.cross_entropy(scores, torch.arange(6))
    ours = info_nce_with_hard_negatives(*z, temperature=0.1, weight=1.5)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=0)
    for mine, theirs in zip(torch.autograd.grad(ours, z), torch.autograd.grad(expected, z), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_without_a_weight_it_is_info_nce_with_more_negatives() -> None:
    generator = generator_for(0)
    a, p, h = (torch.randn(6, 4, generator=generator) for _ in range(3))
    ours = info_nce_with_hard_negatives(a, p, h, temperature=0.05)
    torch.testing.assert_close(ours, info_nce(a, p, h, temperature=0.05))


def test_dropout_is_the_view() -> None:
    method = built("simcse", text_encoder(dropout=0.1))
    first, second = views_of(method, texts())
    assert torch.equal(first, second)
    torch.manual_seed(3)
    loss = method.objective(first, second)
    torch.manual_seed(3)
    z = [projected(method, view) for view in (first, second)]  # the same draws, one after the other
    assert z[0] != z[1]
    assert loss.item() == pytest.approx(naive(z, temperature=0.05), rel=1e-9)
    # Both views in one batch, or one after the other: equal up to the rounding of other matrix shapes.
    assert [x.tolist() for x in method.tracked] == [[pytest.approx(row, rel=1e-9, abs=1e-12) for row in x] for x in z]


def test_without_dropout_it_says_so() -> None:
    figures = []
    for dropout in (0.0, 0.1):
        method = built("simcse", text_encoder(dropout=dropout))
        method.objective(*views_of(method, texts()))
        first, second = (F.normalize(z, dim=1) for z in method.tracked)
        figures.append({"alignment": (first - second).square().sum(1).mean().item()})
    assert "take an encoder with dropout" in (method.degenerate_solution(figures[0]) or "")
    assert method.degenerate_solution(figures[1]) is None
    assert method.degenerate_solution({}) is None


def test_micro_batches_replay_their_dropout() -> None:
    """What is encoded again for the gradient is what was encoded for the loss."""
    every = []
    for cached in (True, False):
        method = built("simcse", text_encoder(dropout=0.3), micro_batch_size=3 if cached else None)
        if not cached:
            encoder = method.encoder
            method.encode = lambda view, *_, encoder=encoder: torch.cat([encoder(part) for part in view.split(3)])
        torch.manual_seed(5)
        loss = method.objective(*views_of(method, texts()))
        loss.backward()
        every.append((loss.item(), gradients(method)))
    (cached_loss, cached_gradients), (loss, kept) = every
    assert cached_loss == pytest.approx(loss, rel=1e-12)
    for name, gradient in kept.items():
        torch.testing.assert_close(cached_gradients[name], gradient, rtol=1e-9, atol=1e-12)


def test_matched_embeddings_are_those_of_the_objective() -> None:
    method = built("simcse", text_encoder(dropout=0.1))
    first, second = method.embed_pairs(texts(), generator_for(0))
    assert first.shape == second.shape == (12, WIDTH)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_chance_is_guessing_among_all_candidates(count: int) -> None:
    method = built("simcse") if count == 1 else with_parts(count)
    method.projector[0].weight.data.zero_()
    samples = texts() if count == 1 else parts(count)
    loss = method.objective(*views_of(method, samples))
    assert loss.item() == pytest.approx(method.chance(12)["loss"]) == pytest.approx(math.log(12 if count < 3 else 24))


def test_bad_options_are_named() -> None:
    for weight in (-1.0, 21.0, math.nan):
        with pytest.raises(UserError, match=f"hard_weight must be from 0 to 20, got {weight}"):
            built("simcse", hard_weight=weight)
    with pytest.raises(UserError, match="temperature must be a number above 0"):
        built("simcse", temperature=0.0)
