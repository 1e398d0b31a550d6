from __future__ import annotations

import math

import pytest
import torch
from tiny import built, two_views
from torch import Tensor, nn

from likewise.data.loader import Batch
from likewise.encoders.audio import audio_encoder
from likewise.errors import UserError
from likewise.methods import build_method
from likewise.methods.cola import COLA
from likewise.seeding import generator_for


def by_hand(method: COLA, first: Tensor, second: Tensor) -> float:
    """Section 3 of the paper, pair by pair: linear layer, LayerNorm, tanh; x W y; cross-entropy over the batch."""
    linear, norm, _ = method.projector
    sides = []
    for views in (first, second):
        rows = []
        for view in views:
            h = linear.weight @ method.encoder(view[None])[0] + linear.bias
            h = (h - h.mean()) / (h.var(correction=0) + norm.eps).sqrt()
            rows.append(torch.tanh(h * norm.weight + norm.bias))
        sides.append(rows)
    losses = []
    for i, x in enumerate(sides[0]):
        scores = [(method.bilinear.weight @ x) @ y for y in sides[1]]
        losses.append(-math.log((scores[i].exp() / sum(score.exp() for score in scores)).item()))
    return sum(losses) / len(losses)


def test_the_objective_is_the_papers() -> None:
    method = built(COLA, projection_dim=7)
    method.projector[1].weight.data.uniform_(0.5, 2)
    method.projector[1].bias.data.uniform_(-1, 1)
    first, second = two_views()
    assert method.objective(first, second).item() == pytest.approx(by_hand(method, first, second), rel=1e-10)


def test_its_gradient_is_that_of_cross_entropy() -> None:
    method = built(COLA, projection_dim=7)
    first, second = two_views()
    method.objective(first, second).backward()
    got = [parameter.grad.clone() for parameter in method.parameters()]
    method.zero_grad()
    scores = method.embed(first) @ method.bilinear.weight.T @ method.embed(second).T
    nn.functional.cross_entropy(scores, torch.arange(len(first))).backward()
    for mine, parameter in zip(got, method.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-9, atol=1e-12)


def test_the_first_parts_ask_and_the_second_ones_answer() -> None:
    method = built(COLA, projection_dim=7)
    first, second = two_views()
    assert method.objective(first, second).item() != pytest.approx(method.objective(second, first).item(), rel=1e-3)
    nn.init.eye_(method.bilinear.weight)
    z1, z2 = torch.randn(2, 5, 7, generator=generator_for(0), dtype=torch.float64)
    z2[0] = z2[1]  # two of five are the same answer
    expected = nn.functional.cross_entropy(z1 @ z2.T, torch.arange(5))
    assert method.compare(z1, z2).item() == pytest.approx(expected.item(), rel=1e-12)


def test_large_scores_have_a_loss() -> None:
    method = built(COLA, projection_dim=64).float()
    method.bilinear.weight.data.mul_(1e4)
    first, second = two_views().float()
    loss = method.objective(first, second)
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in method.parameters())


def test_chance_is_what_equal_embeddings_give() -> None:
    method = built(COLA)
    nn.init.zeros_(method.projector[0].weight)
    chance = method.chance(5)
    assert chance == {"loss": math.log(5)}
    assert method.objective(*two_views()).item() == pytest.approx(chance["loss"])


def test_views_are_two_parts_of_each_recording_and_the_diagnostics_see_both() -> None:
    torch.manual_seed(0)
    encoder = audio_encoder("mel-resnet8", sample_rate=1000, seconds=0.3)
    method = build_method("cola", encoder, {"projection_dim": 16}).eval()
    recordings = torch.randn(4, 1000, generator=generator_for(1))

    def crop(batch: Tensor, generator: torch.Generator) -> Tensor:
        starts = torch.randint(700, (len(batch), 1), generator=generator)
        return batch.gather(1, starts + torch.arange(300))

    method.views = crop
    first, second = method.make_views(Batch(recordings, torch.arange(4)), generator_for(2))
    assert first.shape == second.shape == (4, 300)
    assert not torch.equal(first, second)
    assert method.objective(first, second).ndim == 0
    assert method.tracked is not None
    for seen, view in zip(method.tracked, (first, second), strict=True):
        torch.testing.assert_close(seen, method.embed(view).detach(), rtol=1e-4, atol=1e-5)
        assert seen.abs().max() < 1


@pytest.mark.parametrize("micro_batch_size", [2, 5])
def test_micro_batches_give_the_gradient_of_the_batch(micro_batch_size: int) -> None:
    gradients = []
    for size in (None, micro_batch_size):
        method = built(COLA, projection_dim=7)
        method.training_context = method.training_context._replace(micro_batch_size=size)
        method.objective(*two_views()).backward()
        gradients.append([parameter.grad for parameter in method.parameters()])
    for whole, cached in zip(*gradients, strict=True):
        torch.testing.assert_close(cached, whole, rtol=1e-9, atol=1e-12)


def test_mistakes() -> None:
    with pytest.raises(UserError, match="projection_dim must be at least 1, got 0"):
        built(COLA, projection_dim=0)
