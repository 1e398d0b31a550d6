from __future__ import annotations

import copy

import pytest
import torch
from tiny import Tiny, built, two_views
from torch import Tensor, nn

from likewise.errors import UserError
from likewise.methods.byol import BYOL
from likewise.modules.ema import cosine_momentum


def unlike_its_target(**options: object) -> BYOL:
    """A network that has moved away from its target, as after some steps."""
    byol = built(BYOL, projection_dim=3, hidden_dim=8, **options)
    with torch.no_grad():
        for parameter in byol.target.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    return byol


def squared_distance(prediction: Tensor, target: Tensor) -> Tensor:
    pairs = zip(prediction, target, strict=True)
    return torch.stack([((p / (p @ p).sqrt() - z / (z @ z).sqrt()) ** 2).sum() for p, z in pairs]).mean()


def test_the_loss_is_the_squared_distance_between_predictions_and_targets_in_both_directions() -> None:
    byol = unlike_its_target(target_momentum=1.0)
    first, second = two_views()
    target = [byol.target(view) for view in (first, second)]
    p1, p2 = (byol.predictor(byol.projector(byol.encoder(view))) for view in (first, second))
    expected = squared_distance(p1, target[1]) + squared_distance(p2, target[0])
    assert expected > 0.1
    assert byol.objective(first, second).item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_target_begins_as_a_copy_and_gets_no_gradient() -> None:
    byol = built(BYOL, projection_dim=3, hidden_dim=8)
    first, second = two_views()
    torch.testing.assert_close(byol.target(first), byol.projector(byol.encoder(first)))
    byol.objective(first, second).backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in byol.target.parameters())
    rest = [p for name, p in byol.named_parameters() if not name.startswith("target.")]
    assert rest
    assert all(parameter.grad is not None for parameter in rest)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_the_target_follows_with_a_momentum_that_rises_to_1(progress: float, monkeypatch: pytest.MonkeyPatch) -> None:
    byol = unlike_its_target(target_momentum=0.9)
    monkeypatch.setattr(BYOL, "progress", progress)
    before = copy.deepcopy(list(byol.target.parameters()))
    byol.objective(*two_views())
    online = [*byol.encoder.parameters(), *byol.projector.parameters()]
    momentum = {0.0: 0.9, 0.5: 0.95, 1.0: 1.0}[progress]
    assert cosine_momentum(0.9, progress) == pytest.approx(momentum)
    for was, now, follows in zip(before, byol.target.parameters(), online, strict=True):
        torch.testing.assert_close(now, momentum * was + (1 - momentum) * follows, rtol=0, atol=1e-12)


def test_a_checkpoint_holds_the_target() -> None:
    byol, other = unlike_its_target(), built(BYOL, projection_dim=3, hidden_dim=8)
    other.load_state_dict(byol.state_dict())
    views = two_views()
    assert torch.equal(byol.target(views[0]), other.target(views[0]))
    assert torch.equal(byol.objective(*views), other.objective(*views))


def test_without_its_predictor_equal_views_leave_nothing_to_learn() -> None:
    byol = built(BYOL, projection_dim=3, hidden_dim=8)
    byol.predictor = nn.Identity()
    first, second = two_views()
    assert byol.objective(first, first).item() == pytest.approx(0.0, abs=1e-10)
    assert byol.objective(first, second).item() > 0.1


def test_it_shows_the_embeddings_of_the_network_that_learns() -> None:
    byol = unlike_its_target(target_momentum=1.0)
    first, second = two_views()
    byol.objective(first, second)
    z1, z2 = byol.tracked
    torch.testing.assert_close(z1, byol.embed(first).detach())
    torch.testing.assert_close(z2, byol.embed(second).detach())
    assert not z1.requires_grad


def test_impossible_options_are_told() -> None:
    with pytest.raises(UserError, match=r"target_momentum must be from 0 to 1, got 1\.5"):
        BYOL(Tiny(), target_momentum=1.5)
    with pytest.raises(UserError, match="projection_dim must be at least 1, got 0"):
        BYOL(Tiny(), projection_dim=0)
    with pytest.raises(UserError, match="hidden_dim must be at least 1, got -3"):
        BYOL(Tiny(), hidden_dim=-3)
